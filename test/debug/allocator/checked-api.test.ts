/** The typed door: arguments, views, strings, figures, and use as any other allocator. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugOptions, debug, type Report } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { coalescing, createAllocator, pipe, stats, statsOf, std } from "#src/layers/index.js";
import { arrayBuffer } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";

function watched(options: DebugOptions = {}, below = createHeap()) {
  const reports: Report[] = [];
  const door = debug(below, {
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { door, reports };
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
  const { door } = watched();
  const sizes: [string, (bad: number) => unknown][] = [
    ["size", (bad) => door.malloc(bad)],
    ["count", (bad) => door.calloc(bad, 1)],
    ["size", (bad) => door.calloc(1, bad)],
    ["size", (bad) => door.zalloc(bad)],
    ["size", (bad) => door.memalign(16, bad)],
    ["size", (bad) => door.alignedAlloc(16, bad)],
    ["size", (bad) => door.realloc(0, bad)],
    ["oldSize", (bad) => door.reallocSized(0, bad, 1)],
    ["size", (bad) => door.reallocSized(0, 1, bad)],
    ["size", (bad) => door.freeSized(0, bad)],
    ["size", (bad) => door.goodSize(bad)],
    ["length", (bad) => door.view(Uint8Array, 0, bad)],
    ["length", (bad) => door.allocArray(Uint8Array, bad)],
    ["length", (bad) => door.readString(0, bad)],
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
    (bad) => door.free(bad),
    (bad) => door.freeSized(bad, 1),
    (bad) => door.realloc(bad, 1),
    (bad) => door.reallocSized(bad, 1, 1),
    (bad) => door.usableSize(bad),
    (bad) => door.contains(bad),
    (bad) => door.view(Uint8Array, bad, 1),
    (bad) => door.readString(bad),
    (bad) => door.track({}, bad),
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
    (bad: number) => door.memalign(bad, 1),
    (bad: number) => door.alignedAlloc(bad, 1),
    (bad: number) => door.freeSized(0, 1, bad),
    (bad: number) => door.reallocSized(0, 1, 1, bad),
  ]) {
    for (const bad of [0, 3, 2 ** 31]) {
      assert.equal(
        thrown(() => call(bad)),
        `RangeError: alignment must be a power of two up to 1073741824, not ${bad}`,
      );
    }
  }
  assert.equal(
    thrown(() => door.allocString(5 as never)),
    "TypeError: text must be a string, not number",
  );
});

test("null and nothing: free(0), sizes of 0, products that are too large", () => {
  const { door, reports } = watched();
  door.free(0);
  door.freeSized(0, 5);
  assert.equal(door.usableSize(0), 0);
  const [a, b] = [door.malloc(0), door.malloc(0)];
  assert.ok(a !== 0 && a !== b);
  assert.equal(door.usableSize(a), 0);
  assert.equal(door.calloc(2 ** 20, 2 ** 20), 0);
  assert.equal(door.malloc(0x7fffffff), 0);
  const c = door.realloc(0, 10);
  assert.equal(door.goodSize(10), 10);
  for (const ptr of [a, b, c]) door.free(ptr);
  assert.equal(door.destroy(), "ok");
  assert.deepEqual(reports, []);
});

test("memory of calloc and zalloc is zero, also where blocks were before", () => {
  const { door } = watched({ quarantine: 0, pageSize: 4096 });
  for (let round = 0; round < 200; round++) {
    for (const ptr of [door.calloc(10, 10), door.zalloc(100), door.calloc(1, 5000)]) {
      assert.ok(door.u8.subarray(ptr, ptr + door.usableSize(ptr)).every((byte) => byte === 0));
      door.free(ptr);
    }
  }
});

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: views are right after the memory has grown`, () => {
    const { door } = watched({}, anyHeap({ backend }));
    const view = door.allocArray(Float64Array, 3).set([1, 2, 3]);
    const { buffer } = door;
    const text = door.allocString("grüße", { terminate: true });
    while (door.buffer === buffer) door.malloc(100_000);
    assert.deepEqual([...view], [1, 2, 3]);
    assert.equal(door.readString(text.ptr), "grüße");
    assert.equal(door.readString(text.ptr, 2), "gr");
    assert.deepEqual([...door.view(Float64Array, view.ptr, 2)], [1, 2]);
    const whole = [door.i8, door.u8, door.u8c, door.i16, door.u16, door.i32, door.u32] as const;
    for (const each of [...whole, door.f32, door.f64, door.i64, door.u64]) {
      assert.equal(each.buffer, door.buffer);
      assert.equal(each.byteLength, door.buffer.byteLength);
    }
    door.i32[view.ptr / 4] = -1;
    assert.equal(door.u32[view.ptr / 4], 0xffffffff);
    assert.equal(door.memory?.buffer, backend === "wasm" ? door.buffer : undefined);
  });
}

test("out of memory: 0 from calls, an error from views", () => {
  const { door } = watched({}, createHeap({ maximum: 2 ** 20 }));
  assert.equal(door.malloc(2 ** 21), 0);
  assert.throws(() => door.allocArray(Uint8Array, 2 ** 21), { code: "ERR_OUT_OF_MEMORY" });
  assert.throws(() => door.allocString("x".repeat(2 ** 21)), { code: "ERR_OUT_OF_MEMORY" });
  assert.equal(door.destroy(), "ok");
});

test("contains knows blocks, live or free, and nothing else", () => {
  const { door } = watched();
  for (const size of [10, 5000, 200_000]) {
    const ptr = door.malloc(size);
    assert.ok(door.contains(ptr) && door.contains(ptr + size - 1));
    door.free(ptr);
    assert.ok(door.contains(ptr));
    assert.equal(door.contains(ptr + 2 ** 24), false);
  }
  assert.equal(door.contains(0), false);
});

test("the walk shows each live block with its size, and stops when told to", () => {
  const { door } = watched();
  const sizes = [1, 10, 3000, 5000, 100];
  const ptrs = sizes.map((size) => door.malloc(size));
  door.free(ptrs[1] as number);
  const seen: number[] = [];
  assert.ok(door.visitBlocks((_, size) => void seen.push(size)));
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    [1, 100, 3000, 5000],
  );
  let count = 0;
  assert.equal(
    door.visitBlocks(() => ++count < 2),
    false,
  );
  assert.equal(count, 2);
  assert.ok(door.visitBlocks((ptr) => door.free(ptr)));
  assert.equal(door.destroy(), "ok");
});

test("stats are requested, resident and overhead bytes", () => {
  const { door } = watched({ stackTraceFrames: 0 });
  const empty = door.stats();
  assert.deepEqual([empty.blocks, empty.requestedBytes, empty.residentBytes], [0, 0, 0]);
  const [a, b] = [door.malloc(100), door.malloc(10_000)];
  const full = door.stats();
  assert.deepEqual([full.blocks, full.requestedBytes], [2, 10_100]);
  assert.ok(full.residentBytes >= 16384 + 10_000 && full.residentBytes < 30_000);
  assert.ok(full.overheadBytes - empty.overheadBytes > 24 * 100);
  door.free(door.realloc(a, 50));
  door.free(b);
  assert.equal(door.stats().requestedBytes, 0);
});

test("it is a source for layers, and layers are one for it", () => {
  const { door, reports } = watched({}, createAllocator(pipe(std(createHeap()), stats())) as never);
  const pool = pipe(std(door), stats(), coalescing());
  const mine = createAllocator(pool);
  const ptr = mine.malloc(100);
  mine.u8.fill(1, ptr, ptr + 100);
  mine.free(ptr);
  assert.ok(statsOf(pool));
  mine.destroy();
  assert.equal(door.destroy(), "ok");
  assert.deepEqual(reports, []);
});

test("a memory serves in whole pages, which come back to be used again", () => {
  const source = arrayBuffer();
  const door = debug(source, { quarantine: 0, reportAtExit: false, onReport: "throw" });
  for (let round = 0; round < 20; round++) {
    const ptrs = Array.from({ length: 600 }, () => door.malloc(100));
    for (const ptr of ptrs) door.free(ptr);
  }
  assert.ok(source.buffer.byteLength <= 8 * 65536);
  assert.equal(door.destroy(), "ok");
});

test("track watches a handle's pointer, and says what is wrong with it", () => {
  const { door, reports } = watched();
  const handle = {};
  const ptr = door.malloc(5);
  assert.equal(door.track(handle, ptr), handle);
  door.track(handle, ptr + 1);
  door.free(ptr);
  door.track(handle, ptr);
  assert.deepEqual(
    reports.map(({ code }) => code),
    ["ERR_INTERIOR_POINTER", "ERR_USE_AFTER_FREE"],
  );
});

test("a leak of many places shows twenty, and has all as JSON", () => {
  const { door, reports } = watched({ stackTraceFrames: 1 });
  for (let i = 0; i < 50; i++) {
    new Function("door", `${" ".repeat(i)}door.malloc(${i + 1})`)(door);
  }
  door.destroy();
  const text = String(reports[0]);
  assert.equal(text.match(/allocated:/g)?.length, 20);
  assert.ok(text.includes("  1 block of 50 bytes ("));
  assert.ok(text.endsWith("\n  … and 30 more; as JSON the report has all"));
  assert.equal(reports[0]?.toJSON().stacks.length, 50);
});

test("a reporter may use the allocator, and the next report comes all the same", () => {
  const codes: string[] = [];
  const door = debug(createHeap(), {
    reportAtExit: false,
    onReport: ({ code }) => {
      codes.push(code);
      door.free(door.malloc(10));
    },
  });
  const ptr = door.malloc(10);
  door.u8[ptr - 1] = 1;
  door.u8[ptr + 10] = 1;
  door.free(ptr);
  assert.deepEqual(codes, ["ERR_HEAP_UNDERFLOW", "ERR_HEAP_OVERFLOW"]);
  assert.equal(door.destroy(), "ok");
});
