/** What the package has for tests: checks of bodies, allocators that fail, reporters. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type DebugAllocator,
  debug,
  expectNoLeaks,
  expectNoLeaksWhenFull,
  failAfter,
  failing,
  failRandomly,
  MemoryMistake,
} from "#src/debug/index.js";
import { reportsOf } from "#src/debug/testing/tally.js";
import VitestReporter from "#src/debug/testing/vitest-reporter.js";
import { createHeap, HeapError } from "#src/heap/index.js";
import { modules } from "../../support/checkout.js";

test("expectNoLeaks returns what the body returns, a promise too", async () => {
  const clean = (heap: DebugAllocator) => {
    heap.free(heap.malloc(10));
    return 42;
  };
  assert.equal(expectNoLeaks(createHeap(), clean), 42);
  assert.equal(await expectNoLeaks(createHeap(), async (heap) => clean(heap)), 42);
});

test("expectNoLeaks throws one error with everything that was wrong", async () => {
  const heap = createHeap();
  const dirty = (debugHeap: DebugAllocator) => {
    const ptr = debugHeap.malloc(10);
    debugHeap.free(ptr);
    debugHeap.free(ptr);
    debugHeap.malloc(20);
  };
  const check = (error: unknown) => {
    assert.ok(error instanceof MemoryMistake);
    assert.equal(error.code, "ERR_DOUBLE_FREE");
    assert.deepEqual(
      error.others.map(({ message }) => message),
      ["leak: 1 block of 20 bytes never freed"],
    );
    return true;
  };
  assert.throws(() => expectNoLeaks(heap, dirty), check);
  await assert.rejects(
    expectNoLeaks(heap, async (debugHeap) => dirty(debugHeap)),
    check,
  );
  assert.equal(heap.stats().blocks, 0);
});

test("an error of the body comes first, and its blocks are given back", async () => {
  const heap = createHeap();
  const body = (debugHeap: DebugAllocator) => {
    debugHeap.malloc(1);
    throw new Error("mine");
  };
  assert.throws(() => expectNoLeaks(heap, body), { message: "mine" });
  await assert.rejects(
    expectNoLeaks(heap, async (debugHeap) => body(debugHeap)),
    { message: "mine" },
  );
  assert.equal(heap.stats().blocks, 0);
});

test("failAfter serves n requests, through every function that allocates", () => {
  const calls: ((heap: DebugAllocator) => number)[] = [
    (heap) => heap.malloc(1),
    (heap) => heap.calloc(1, 1),
    (heap) => heap.zalloc(1),
    (heap) => heap.realloc(0, 1),
    (heap) => heap.reallocSized(0, 0, 1),
    (heap) => heap.memalign(16, 1),
    (heap) => heap.alignedAlloc(16, 1),
    (heap) => heap.abi.malloc(1),
    (heap) => heap.abi.calloc(1, 1),
    (heap) => heap.abi.realloc(0, 1),
    (heap) => heap.abi.aligned_alloc(16, 1),
    (heap) => heap.abi.strdup(8),
  ];
  for (const call of calls) {
    const below = debug(createHeap(), { reportAtExit: false });
    const heap = failAfter(below, 2);
    assert.deepEqual(
      [call(heap) !== 0, call(heap) !== 0, call(heap), call(heap)],
      [true, true, 0, 0],
    );
    assert.equal(below.stats().blocks, 2);
  }
  const empty = failAfter(debug(createHeap(), { reportAtExit: false }), 0);
  const message = "allocArray (refused by a test): no memory for 0 bytes";
  assert.throws(() => empty.allocArray(Uint8Array, 1), { code: "ERR_OUT_OF_MEMORY", message });
  assert.throws(() => empty.allocString("x"), HeapError);
  assert.throws(() => failAfter(createHeap(), 0).new(1), HeapError);
  // Methods count as Linux does, C's functions as the programs that import them: as WASI.
  assert.equal(empty.posixMemalign(8, 16, 1), 12);
  assert.equal(empty.reallocarr(8, 16, 1), 12);
  for (const name of ["posix_memalign", "mi_posix_memalign", "reallocarr", "dupenv_s"]) {
    assert.equal(empty.abi[name]?.(8, 16, 1), 48, name);
  }
  assert.equal(empty.u8.length, empty.buffer.byteLength);
});

test("a block that was served can be freed, made smaller and measured", () => {
  const heap = failAfter(createHeap(), 1);
  const ptr = heap.malloc(100);
  assert.equal(heap.realloc(ptr, 5000), 0);
  assert.ok(heap.usableSize(ptr) >= 100);
  heap.free(ptr);
  assert.equal(heap.stats().blocks, 0);
});

test("failRandomly refuses the same requests for the same seed, as often as it should", () => {
  const run = (chance: number, seed: number) => {
    const heap = failRandomly(createHeap(), chance, seed);
    return Array.from({ length: 2000 }, () => heap.malloc(1) === 0);
  };
  const failures = (chance: number) => run(chance, 1).filter(Boolean).length;
  assert.deepEqual(run(0.3, 1), run(0.3, 1));
  assert.notDeepEqual(run(0.3, 1), run(0.3, 2));
  assert.ok(Math.abs(failures(0.3) - 600) < 90);
  assert.deepEqual([failures(0), failures(1)], [0, 2000]);
});

test("arguments of failing allocators are checked", () => {
  const text = (call: () => unknown) => {
    try {
      return call();
    } catch (error) {
      return String(error);
    }
  };
  const heap = createHeap();
  assert.equal(
    text(() => failAfter(heap, -1)),
    "RangeError: failAfter: n must be a whole number from 0 to 2147483647, not -1",
  );
  assert.equal(
    text(() => failRandomly(heap, 2, 1)),
    "RangeError: failRandomly: chance must be from 0 to 1, not 2",
  );
  assert.equal(
    text(() => failRandomly(heap, 0.5, 0.5)),
    "RangeError: failRandomly: seed must be a whole number from 0 to 4294967295, not 0.5",
  );
  assert.equal(failing(heap, () => true).malloc(5), 0);
});

/** Two blocks; `careful` frees the first if there is no second. */
function pair(heap: DebugAllocator, careful: boolean): void {
  const first = heap.malloc(10);
  if (first === 0) return;
  const second = heap.malloc(20);
  if (second === 0 && !careful) return;
  heap.free(second);
  heap.free(first);
}

test("expectNoLeaksWhenFull fails each request in turn", async () => {
  assert.equal(await expectNoLeaksWhenFull(createHeap(), (heap) => pair(heap, true)), 3);
  await assert.rejects(
    expectNoLeaksWhenFull(createHeap(), (heap) => pair(heap, false)),
    { code: "ERR_LEAK" },
  );
});

test("expectNoLeaksWhenFull ignores out of memory, and no other error", async () => {
  const throwing = async (heap: DebugAllocator) => {
    using first = heap.allocArray(Uint8Array, 10);
    heap.allocArray(Uint8Array, first.length).free();
  };
  assert.equal(await expectNoLeaksWhenFull(createHeap(), throwing), 3);
  const broken = () => {
    throw new Error("mine");
  };
  await assert.rejects(expectNoLeaksWhenFull(createHeap(), broken), { message: "mine" });
});

test("node:test: the reporter prints reports under their tests, and counts", () => {
  const reporter = `${modules}debug/testing/node-reporter.js`;
  const fixture = fileURLToPath(new URL("./failing.fixture.js", import.meta.url));
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT; // it would make the child a part of this run
  const args = ["--test", `--test-reporter=${reporter}`, fixture];
  const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", env });
  const lines = stdout.split("\n").filter((line) => /^\S|^ {2}\S/.test(line));
  const where = (line: string) => line.replace(/ \(.*failing\.fixture\.js:\d+\)$/, "");
  assert.deepEqual(lines.map(where), [
    "forgets a block",
    "  leak: 1 block of 100 bytes never freed",
    "frees twice and writes too far",
    "  write past the end of the block of 8 bytes at 0x20010: 1 byte changed, the first at offset 8",
    "  double free of the block of 8 bytes at 0x20010",
    "leaves a block of a region",
    '  region "expectNoLeaks" ended with 1 block of 33 bytes not freed:',
    "memory: mistakes in 3 tests: 2 ERR_LEAK, 1 ERR_HEAP_OVERFLOW, 1 ERR_DOUBLE_FREE",
  ]);
  assert.match(stdout, /\n {6}at .*failing\.fixture\.ts:\d+:\d+/);
});

test("an error carries its reports as plain values with mapped frames, for another process", () => {
  let caught: MemoryMistake | undefined;
  try {
    expectNoLeaks(createHeap(), (heap) => void heap.malloc(100));
  } catch (error) {
    caught = error as MemoryMistake;
  }
  const { reports } = structuredClone({ reports: caught?.reports });
  assert.deepEqual(reports, [JSON.parse(JSON.stringify(caught?.report))]);
  const [frame] = reports?.[0]?.stacks[0]?.frames ?? [];
  assert.match(frame?.file ?? "", /testing\.test\.ts$/);
});

test("frames that were mapped in the test's process are shown as they are", () => {
  const frame = { call: "make", file: "/nowhere/a.test.ts", line: 7, column: 3 };
  const raw = { call: "make", url: "/nowhere/a.test.js", line: 1, column: 900 };
  const report = (frames: unknown[]) => ({
    code: "ERR_LEAK",
    message: "leak: 1 block of 1 byte never freed",
    ptr: 16,
    size: 1,
    stacks: [{ title: "allocated", frames }],
  });
  const error = { name: "MemoryMistake", report: report([raw]), reports: [report([frame])] };
  const [shown] = reportsOf({ cause: error });
  assert.match(String(shown), /at make \(\/nowhere\/a\.test\.ts:7:3\)$/);
});

/** What console.log prints during a call. */
function printed(call: () => void): string[] {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line) => lines.push(line);
  try {
    call();
  } finally {
    console.log = log;
  }
  return lines;
}

test("vitest: the reporter reads errors as vitest sends them, and applies its maps", () => {
  const frame = { call: "make", file: "/x/a.test.ts", line: 2, column: 5 };
  // vitest sends an error's fields as JSON, and reports have a JSON of their own.
  const error = {
    name: "MemoryMistake",
    report: {
      code: "ERR_LEAK",
      message: "leak: 1 block of 100 bytes never freed",
      ptr: 16,
      size: 100,
      stacks: [{ title: "allocated", frames: [frame] }],
    },
    others: [],
  };
  const map = { version: 3, sources: ["a.test.ts"], names: [], mappings: "AAAA;AASE" };
  const project = {
    vite: { moduleGraph: { getModuleById: () => ({ ssrTransformResult: { map } }) } },
  };
  const testCase = (errors: unknown[]) => ({
    fullName: "parser > frees",
    module: { moduleId: "/x/a.test.ts" },
    project,
    result: () => ({ errors }),
  });
  const reporter = new VitestReporter();
  const lines = printed(() => {
    reporter.onTestCaseResult(testCase([]));
    reporter.onTestCaseResult(testCase([new Error("another")]));
    reporter.onTestCaseResult(testCase([error]));
    reporter.onTestRunEnd();
  });
  assert.deepEqual(lines, [
    "parser > frees (/x/a.test.ts)\n" +
      "  leak: 1 block of 100 bytes never freed\n" +
      "    allocated:\n" +
      "      at make (/x/a.test.ts:10:3)",
    "memory: mistakes in 1 test: 1 ERR_LEAK",
  ]);
  assert.deepEqual(
    printed(() => new VitestReporter().onTestRunEnd()),
    ["memory: no mistakes"],
  );
});
