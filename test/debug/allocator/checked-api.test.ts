/** The checked API: arguments, views, strings, figures, and use as any other allocator. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugOptions, debug, type Report } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { coalescing, createAllocator, pipe, stats, statsOf, std } from "#src/layers/index.js";
import { arrayBuffer } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";

function watched(options: DebugOptions = {}, below = createHeap()) {
  const reports: Report[] = [];
  const debugged = debug(below, {
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { debugged, reports };
}

function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "nothing thrown";
}

test("wrong sizes, pointers and alignments are refused by every call", () => {
  const { debugged } = watched();
  const sizes: [string, (bad: number) => unknown][] = [
    ["size", (bad) => debugged.malloc(bad)],
    ["count", (bad) => debugged.calloc(bad, 1)],
    ["size", (bad) => debugged.calloc(1, bad)],
    ["size", (bad) => debugged.zalloc(bad)],
    ["size", (bad) => debugged.memalign(16, bad)],
    ["size", (bad) => debugged.alignedAlloc(16, bad)],
    ["size", (bad) => debugged.realloc(0, bad)],
    ["oldSize", (bad) => debugged.reallocSized(0, bad, 1)],
    ["size", (bad) => debugged.reallocSized(0, 1, bad)],
    ["size", (bad) => debugged.freeSized(0, bad)],
    ["size", (bad) => debugged.goodSize(bad)],
    ["length", (bad) => debugged.view(Uint8Array, 0, bad)],
    ["length", (bad) => debugged.allocArray(Uint8Array, bad)],
    ["length", (bad) => debugged.readString(0, bad)],
  ];
  for (const [what, call] of sizes) {
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 31]) {
      assert.equal(
        thrown(() => call(bad)),
        `RangeError: ${what} must be a whole number from 0 to 2147483647, not ${bad}`,
      );
    }
    assert.equal(
      thrown(() => call("8" as never)),
      `TypeError: ${what} must be a number, not string`,
    );
  }
  const pointers: ((bad: number) => unknown)[] = [
    (bad) => debugged.free(bad),
    (bad) => debugged.freeSized(bad, 1),
    (bad) => debugged.realloc(bad, 1),
    (bad) => debugged.reallocSized(bad, 1, 1),
    (bad) => debugged.usableSize(bad),
    (bad) => debugged.contains(bad),
    (bad) => debugged.view(Uint8Array, bad, 1),
    (bad) => debugged.readString(bad),
    (bad) => debugged.track({}, bad),
  ];
  for (const call of pointers) {
    for (const bad of [-1, 0.5, 2 ** 32]) {
      assert.equal(
        thrown(() => call(bad)),
        `RangeError: pointer must be a whole number from 0 to 4294967295, not ${bad}`,
      );
    }
    assert.equal(
      thrown(() => call(null as never)),
      "TypeError: pointer must be a number, not null",
    );
  }
  for (const call of [
    (bad: number) => debugged.memalign(bad, 1),
    (bad: number) => debugged.alignedAlloc(bad, 1),
    (bad: number) => debugged.freeSized(0, 1, bad),
    (bad: number) => debugged.reallocSized(0, 1, 1, bad),
  ]) {
    for (const bad of [0, 3, 2 ** 31]) {
      assert.equal(
        thrown(() => call(bad)),
        `RangeError: alignment must be a power of two up to 1073741824, not ${bad}`,
      );
    }
  }
  assert.equal(
    thrown(() => debugged.allocString(5 as never)),
    "TypeError: text must be a string, not number",
  );
});

test("null and nothing: free(0), sizes of 0, products that are too large", () => {
  const { debugged, reports } = watched();
  debugged.free(0);
  debugged.freeSized(0, 5);
  assert.equal(debugged.usableSize(0), 0);
  const [a, b] = [debugged.malloc(0), debugged.malloc(0)];
  assert.ok(a !== 0 && a !== b);
  assert.equal(debugged.usableSize(a), 0);
  assert.equal(debugged.calloc(2 ** 20, 2 ** 20), 0);
  assert.equal(debugged.malloc(0x7fffffff), 0);
  const c = debugged.realloc(0, 10);
  assert.equal(debugged.goodSize(10), 10);
  for (const ptr of [a, b, c]) debugged.free(ptr);
  assert.equal(debugged.destroy(), "ok");
  assert.deepEqual(reports, []);
});

test("memory of calloc and zalloc is zero, also where blocks were before", () => {
  const { debugged } = watched({ quarantine: 0, pageSize: 4096 });
  for (let round = 0; round < 200; round++) {
    for (const ptr of [debugged.calloc(10, 10), debugged.zalloc(100), debugged.calloc(1, 5000)]) {
      assert.ok(
        debugged.u8.subarray(ptr, ptr + debugged.usableSize(ptr)).every((byte) => byte === 0),
      );
      debugged.free(ptr);
    }
  }
});

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: views are right after the memory has grown`, () => {
    const { debugged } = watched({}, anyHeap({ backend }));
    const view = debugged.allocArray(Float64Array, 3).set([1, 2, 3]);
    const { buffer } = debugged;
    const text = debugged.allocString("grüße", { terminate: true });
    while (debugged.buffer === buffer) debugged.malloc(100_000);
    assert.deepEqual([...view], [1, 2, 3]);
    assert.equal(debugged.readString(text.ptr), "grüße");
    assert.equal(debugged.readString(text.ptr, 2), "gr");
    assert.deepEqual([...debugged.view(Float64Array, view.ptr, 2)], [1, 2]);
    const whole = [
      debugged.i8,
      debugged.u8,
      debugged.u8c,
      debugged.i16,
      debugged.u16,
      debugged.i32,
      debugged.u32,
    ] as const;
    for (const each of [...whole, debugged.f32, debugged.f64, debugged.i64, debugged.u64]) {
      assert.equal(each.buffer, debugged.buffer);
      assert.equal(each.byteLength, debugged.buffer.byteLength);
    }
    debugged.i32[view.ptr / 4] = -1;
    assert.equal(debugged.u32[view.ptr / 4], 0xffffffff);
    assert.equal(debugged.memory?.buffer, backend === "wasm" ? debugged.buffer : undefined);
  });
}

test("out of memory: 0 from calls, an error from views", () => {
  const { debugged } = watched({}, createHeap({ maximum: 2 ** 20 }));
  assert.equal(debugged.malloc(2 ** 21), 0);
  assert.throws(() => debugged.allocArray(Uint8Array, 2 ** 21), { code: "ERR_OUT_OF_MEMORY" });
  assert.throws(() => debugged.allocString("x".repeat(2 ** 21)), { code: "ERR_OUT_OF_MEMORY" });
  assert.equal(debugged.destroy(), "ok");
});

test("contains knows blocks, live or free, and nothing else", () => {
  const { debugged } = watched();
  for (const size of [10, 5000, 200_000]) {
    const ptr = debugged.malloc(size);
    assert.ok(debugged.contains(ptr) && debugged.contains(ptr + size - 1));
    debugged.free(ptr);
    assert.ok(debugged.contains(ptr));
    assert.equal(debugged.contains(ptr + 2 ** 24), false);
  }
  assert.equal(debugged.contains(0), false);
});

test("the walk shows each live block with its size, and stops when told to", () => {
  const { debugged } = watched();
  const sizes = [1, 10, 3000, 5000, 100];
  const ptrs = sizes.map((size) => debugged.malloc(size));
  debugged.free(ptrs[1] as number);
  const seen: number[] = [];
  assert.ok(debugged.visitBlocks((_, size) => void seen.push(size)));
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    [1, 100, 3000, 5000],
  );
  let count = 0;
  assert.equal(
    debugged.visitBlocks(() => ++count < 2),
    false,
  );
  assert.equal(count, 2);
  assert.ok(debugged.visitBlocks((ptr) => debugged.free(ptr)));
  assert.equal(debugged.destroy(), "ok");
});

test("stats are requested, resident and overhead bytes", () => {
  const { debugged } = watched({ stackTraceFrames: 0 });
  const empty = debugged.stats();
  assert.deepEqual([empty.blocks, empty.requestedBytes, empty.residentBytes], [0, 0, 0]);
  const [a, b] = [debugged.malloc(100), debugged.malloc(10_000)];
  const full = debugged.stats();
  assert.deepEqual([full.blocks, full.requestedBytes], [2, 10_100]);
  assert.ok(full.residentBytes >= 16384 + 10_000 && full.residentBytes < 30_000);
  assert.ok(full.overheadBytes - empty.overheadBytes > 24 * 100);
  debugged.free(debugged.realloc(a, 50));
  debugged.free(b);
  assert.equal(debugged.stats().requestedBytes, 0);
});

test("it is a source for layers, and layers are one for it", () => {
  const { debugged, reports } = watched(
    {},
    createAllocator(pipe(std(createHeap()), stats())) as never,
  );
  const pool = pipe(std(debugged), stats(), coalescing());
  const mine = createAllocator(pool);
  const ptr = mine.malloc(100);
  mine.u8.fill(1, ptr, ptr + 100);
  mine.free(ptr);
  assert.ok(statsOf(pool));
  mine.destroy();
  assert.equal(debugged.destroy(), "ok");
  assert.deepEqual(reports, []);
});

test("a memory serves in whole pages, which come back to be used again", () => {
  const source = arrayBuffer();
  const debugged = debug(source, { quarantine: 0, reportAtExit: false, onReport: "throw" });
  for (let round = 0; round < 20; round++) {
    const ptrs = Array.from({ length: 600 }, () => debugged.malloc(100));
    for (const ptr of ptrs) debugged.free(ptr);
  }
  assert.ok(source.buffer.byteLength <= 8 * 65536);
  assert.equal(debugged.destroy(), "ok");
});

test("track watches a handle's pointer, and says what is wrong with it", () => {
  const { debugged, reports } = watched();
  const handle = {};
  const ptr = debugged.malloc(5);
  assert.equal(debugged.track(handle, ptr), handle);
  debugged.track(handle, ptr + 1);
  debugged.free(ptr);
  debugged.track(handle, ptr);
  assert.deepEqual(
    reports.map(({ code }) => code),
    ["ERR_INTERIOR_POINTER", "ERR_USE_AFTER_FREE"],
  );
});

test("a leak of many places shows twenty, and has all as JSON", () => {
  const { debugged, reports } = watched({ stackTraceFrames: 1 });
  for (let i = 0; i < 50; i++) {
    new Function("debugged", `${" ".repeat(i)}debugged.malloc(${i + 1})`)(debugged);
  }
  debugged.destroy();
  const text = String(reports[0]);
  assert.equal(text.match(/allocated:/g)?.length, 20);
  assert.ok(text.includes("  1 block of 50 bytes ("));
  assert.ok(text.endsWith("\n  … and 30 more; as JSON the report has all"));
  assert.equal(reports[0]?.toJSON().stacks.length, 50);
});

test("a reporter may use the allocator, and the next report comes all the same", () => {
  const codes: string[] = [];
  const debugged = debug(createHeap(), {
    reportAtExit: false,
    onReport: ({ code }) => {
      codes.push(code);
      debugged.free(debugged.malloc(10));
    },
  });
  const ptr = debugged.malloc(10);
  debugged.u8[ptr - 1] = 1;
  debugged.u8[ptr + 10] = 1;
  debugged.free(ptr);
  assert.deepEqual(codes, ["ERR_HEAP_UNDERFLOW", "ERR_HEAP_OVERFLOW"]);
  assert.equal(debugged.destroy(), "ok");
});
