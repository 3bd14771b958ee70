/** Stacks as numbers, and frames as reports show them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type DebugAllocator, debug, failAfter, type Report } from "#src/debug/index.js";
import { StackTable } from "#src/debug/report/stack-table.js";
import { createHeap } from "#src/heap/index.js";
import { createAllocator, std } from "#src/layers/index.js";
import { modules } from "../../support/checkout.js";
import { collect } from "./scene-calls.js";

function watched(frames = 8) {
  const reports: Report[] = [];
  const heap = debug(createHeap(), {
    stackTraceFrames: frames,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
  });
  return { heap, reports };
}

/** The calls of a leaked block's stack. */
function leakCalls(heap: DebugAllocator, reports: Report[]): string[] {
  heap.detectLeaks();
  return (reports.at(-1)?.stacks[0]?.frames ?? []).map(({ call }) => call);
}

test("the same stack is the same number, another stack another number", () => {
  const table = new StackTable(8);
  const here = () => capture(table);
  function capture(to: StackTable): number {
    return to.capture(capture);
  }
  const ids = Array.from({ length: 3 }, () => here());
  assert.equal(new Set(ids).size, 1);
  assert.notEqual(capture(table), ids[0]);
  assert.equal(table.frames(ids[0] as number)[0]?.call, "here");
});

test("thousands of stacks stay apart, and each keeps its frames", () => {
  const depth = 12;
  const table = new StackTable(depth + 1);
  const seen = new Map<number, string>();
  const paths = { a: (rest: string) => walk(rest), b: (rest: string) => walk(rest) };
  function take(): number {
    return table.capture(take);
  }
  function walk(rest: string): number {
    if (rest === "") return take();
    const next = rest.slice(1);
    return rest[0] === "a" ? paths.a(next) : paths.b(next);
  }
  for (let i = 0; i < 2 ** (depth / 2); i++) {
    const path = i
      .toString(2)
      .padStart(depth / 2, "0")
      .replaceAll("0", "a")
      .replaceAll("1", "b");
    const id = walk(path);
    const calls = table.frames(id).map(({ call }) => call);
    assert.equal(calls.length, depth + 1);
    const taken = calls.filter((call) => /^(Object\.)?[ab]$/.test(call)).map((call) => call.at(-1));
    assert.equal(taken.reverse().join(""), path);
    assert.equal(seen.get(id), undefined);
    seen.set(id, path);
  }
  for (const [id, path] of seen) assert.equal(walk(path), id);
});

test("the table grows with its stacks and finds the old ones again", () => {
  const table = new StackTable(1);
  const makers = Array.from(
    { length: 5000 },
    (_, i) => new Function("take", `${" ".repeat(i)}return take();`) as (take: unknown) => number,
  );
  function take(): number {
    return table.capture(take);
  }
  const ids = makers.map((maker) => maker(take));
  assert.equal(new Set(ids).size, makers.length);
  assert.deepEqual(
    makers.map((maker) => maker(take)),
    ids,
  );
  assert.ok(table.bytes > 5000 * 20);
});

test("no frames are taken when none are wanted", () => {
  const table = new StackTable(0);
  function take(): number {
    return table.capture(take);
  }
  assert.equal(take(), 0);
  assert.deepEqual(table.frames(0), []);
});

test("no more frames are kept than wanted", () => {
  const { heap, reports } = watched(2);
  const deep = (n: number): number => (n === 0 ? heap.malloc(1) : deep(n - 1));
  deep(9);
  assert.deepEqual(leakCalls(heap, reports), ["deep", "deep"]);
});

test("frames of this package are left out, by whatever function the call came", () => {
  const ways: Record<string, (heap: DebugAllocator) => unknown> = {
    malloc: (heap) => heap.malloc(1),
    calloc: (heap) => heap.calloc(1, 1),
    zalloc: (heap) => heap.zalloc(1),
    memalign: (heap) => heap.memalign(32, 1),
    alignedAlloc: (heap) => heap.alignedAlloc(32, 1),
    realloc: (heap) => heap.realloc(0, 1),
    reallocSized: (heap) => heap.reallocSized(0, 0, 1),
    allocArray: (heap) => heap.allocArray(Uint8Array, 1),
    allocString: (heap) => heap.allocString("x"),
    abi: (heap) => heap.abi.malloc(1),
    strdup: (heap) => heap.abi.strdup(8),
    "a layer": (heap) => createAllocator(std(heap)).malloc(1),
    "a debug allocator": (heap) => debug(heap, { reportAtExit: false }).malloc(5000),
    "an allocator that fails": (heap) => failAfter(heap, 1).malloc(1),
  };
  for (const [name, way] of Object.entries(ways)) {
    const { heap, reports } = watched(20);
    const caller = () => way(heap);
    caller();
    const [first, second] = leakCalls(heap, reports);
    assert.ok(first === "ways.<computed>" || first === name || first === "", `${name}: ${first}`);
    assert.equal(second, "caller", name);
  }
  const { heap, reports } = watched(20);
  const view = heap.allocArray(Uint8Array, 1);
  const caller = () => view.free();
  caller();
  caller();
  assert.equal(reports[0]?.stacks.at(-1)?.frames[0]?.call, "caller");
});

test("frames of Node are left out", async () => {
  const { heap, reports } = watched(20);
  await new Promise((resolve) => setTimeout(() => resolve(heap.malloc(1)), 1));
  heap.detectLeaks();
  assert.ok(reports[0]?.stacks[0]?.frames.every(({ url }) => !url.startsWith("node:")));
});

test("a stack keeps no receiver and no argument alive", async () => {
  const { heap } = watched();
  class Owner {
    readonly data = new Array(1000).fill(0);
    own(): number {
      return heap.malloc(1);
    }
  }
  const refs = Array.from({ length: 100 }, () => {
    const owner = new Owner();
    owner.own();
    return new WeakRef(owner);
  });
  await collect();
  assert.equal(refs.filter((ref) => ref.deref()).length, 0);
  assert.equal(heap.stats().blocks, 100);
});

test("the program's own stack settings are restored after a call", () => {
  const { stackTraceLimit, prepareStackTrace } = Error;
  const own = (): string => "mine";
  const { heap, reports } = watched(3);
  try {
    Error.prepareStackTrace = own;
    Error.stackTraceLimit = 1;
    const make = () => heap.malloc(1);
    make();
    assert.equal(Error.prepareStackTrace, own);
    assert.equal(Error.stackTraceLimit, 1);
    assert.equal(new Error().stack, "mine");
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
  assert.ok(leakCalls(heap, reports).length > 1);
});

/** The second line maps to line 10, column 3 of original.ts. */
const map = {
  version: 3,
  sources: ["original.ts"],
  names: [],
  mappings: "AAAA;AASE",
};
const code = "export const allocate = (heap) =>\n  heap.malloc(5);\n";
const original = `${"\n".repeat(9)}  return heap.malloc(5 as Size);\n`;
const inline = `data:application/json;base64,${btoa(JSON.stringify(map))}`;
const escaped = `data:application/json,${encodeURIComponent(JSON.stringify(map))}`;

/** A file of `code` with a link to a map, in a folder that is removed after `use`. */
async function withMapped(link: string, use: (file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  try {
    writeFileSync(join(folder, "original.ts"), original);
    writeFileSync(join(folder, "made.mjs"), `${code}//# sourceMappingURL=${link}\n`);
    writeFileSync(join(folder, "made.mjs.map"), JSON.stringify(map));
    writeFileSync(join(folder, "broken.map"), "{");
    await use(join(folder, "made.mjs"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [kind, link] of Object.entries({ file: "made.mjs.map", inline, escaped })) {
  test(`a source map is followed: ${kind}`, () =>
    withMapped(link, async (file) => {
      const { heap, reports } = watched(1);
      const { allocate } = await import(pathToFileURL(file).href);
      allocate(heap);
      heap.detectLeaks();
      const path = file.replace("made.mjs", "original.ts");
      const text = `    at allocate (${path}:10:3)\n      return heap.malloc(5 as Size);\n      ^`;
      assert.equal(String(reports[0]).split("\n").slice(2).join("\n"), text);
      assert.deepEqual(reports[0]?.toJSON().stacks[0]?.frames[0], {
        call: "allocate",
        file: path,
        line: 10,
        column: 3,
      });
    }));
}

for (const link of ["missing.map", "broken.map", "data:application/json;base64,!"]) {
  test(`a source map that cannot be read is ignored: ${link}`, () =>
    withMapped(link, async (file) => {
      const { heap, reports } = watched(1);
      const { allocate } = await import(`${pathToFileURL(file).href}?${link.length}`);
      allocate(heap);
      heap.detectLeaks();
      assert.match(String(reports[0]), /at allocate \(.*made\.mjs(\?\d+)?:2:8\)/);
    }));
}

test("Node's own source maps are used when it has them", () =>
  withMapped(inline, async (file) => {
    const script = `
      import { createHeap } from "${modules}heap/index.js";
      import { debug } from "${modules}debug/index.js";
      import { allocate } from "${pathToFileURL(file).href}";
      const heap = debug(createHeap(), { stackTraceFrames: 1, onReport: (r) => console.log(String(r)) });
      allocate(heap);
      heap.destroy();`;
    const args = ["--enable-source-maps", "--input-type=module", "-e", script];
    const printed = execFileSync(process.execPath, args, { encoding: "utf8" });
    assert.match(printed, /at allocate \(.*original\.ts:10:3\)/);
  }));

test("the text of other engines is read line by line", () => {
  const table = new StackTable(2);
  const firefox = [
    `capture@http://x/dist/lib/debug.js:40:5`,
    `malloc@http://x/dist/lib/heap.js:60:12`,
    "make@http://x/app.js:10:20",
    "@http://x/app.js:12:1",
    "boot@http://x/app.js:99:1",
  ].join("\n");
  const id = table.internText(firefox, "malloc");
  assert.deepEqual(table.frames(id), [
    { call: "make", url: "http://x/app.js", line: 10, column: 20 },
    { call: "", url: "http://x/app.js", line: 12, column: 1 },
  ]);
  assert.equal(table.internText(firefox, "malloc"), id);
  const bundled = "capture@http://x/all.js:1:5\nmalloc@http://x/all.js:1:12\nmake@[native code]";
  assert.deepEqual(table.frames(table.internText(bundled, "malloc")), [
    { call: "make", url: "[native code]", line: 0, column: 0 },
  ]);
  const v8 = "Error\n    at X.malloc (http://x/a.js:1:2)\n    at http://x/b.js:3:4";
  assert.deepEqual(table.frames(table.internText(v8, "malloc")), [
    { call: "", url: "http://x/b.js", line: 3, column: 4 },
  ]);
});

test("an engine without call sites gets its stacks from text", () => {
  const script = `
    delete Error.captureStackTrace;
    const { createHeap } = await import("${modules}heap/index.js");
    const { debug } = await import("${modules}debug/index.js");
    const heap = debug(createHeap(), { onReport: (r) => console.log(String(r)) });
    function make() { return heap.malloc(5); }
    make();
    heap.destroy();`;
  const printed = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.match(printed, /allocated:\n {4}at make \(.*eval1\]:6:\d+\)\n {4}at .*eval1\]:7:5/);
  assert.ok(!printed.includes(fileURLToPath(modules)));
});
