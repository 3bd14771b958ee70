/** The calls of C over compositions, and the texts of errors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  aligned,
  chunk,
  coalescing,
  createAllocator,
  fill,
  freelist,
  hybrid,
  limit,
  log,
  pipe,
  segregated,
  stats,
  std,
  zeroing,
  zone,
} from "#src/layers/index.js";

test("a header is added where put needs sizes, and only there", () => {
  const base = std(createHeap());
  assert.equal(createAllocator(base).pool, base);
  const joined = pipe(base, coalescing());
  assert.equal(createAllocator(joined).pool, joined);
  assert.equal(createAllocator(pipe(base, stats())).pool.name, "header");
});

test("realloc keeps contents, moves when necessary, and keeps the block when memory is out", () => {
  const mine = createAllocator(pipe(std(createHeap()), limit(1000)));
  const ptr = mine.realloc(0, 100);
  for (let i = 0; i < 100; i++) mine.u8[ptr + i] = i;
  assert.equal(mine.realloc(ptr, 60), ptr);
  assert.equal(mine.realloc(ptr, 2000), 0);
  assert.equal(mine.u8[ptr + 99], 99);
  const moved = mine.realloc(ptr, 200);
  assert.notEqual(moved, ptr);
  assert.equal(mine.u8[moved + 99], 99);
  const small = mine.realloc(moved, 10);
  assert.deepEqual([...mine.u8.subarray(small, small + 3)], [0, 1, 2]);
  assert.equal(mine.usableSize(small), 10);
});

test("calloc clears, refuses products that are too large, and relies on a zeroing layer", () => {
  const mine = createAllocator(pipe(std(createHeap()), fill()));
  const ptr = mine.calloc(5, 20);
  assert.ok(mine.u8.subarray(ptr, ptr + 100).every((byte) => byte === 0));
  assert.equal(mine.calloc(2 ** 16, 2 ** 16), 0);
  const zeros = createAllocator(pipe(std(createHeap()), fill(), zeroing()));
  const block = zeros.calloc(1, 100);
  assert.ok(zeros.u8.subarray(block, block + 100).every((byte) => byte === 0));
});

test("null is accepted by free and usableSize; blocks of 0 bytes differ", () => {
  const mine = createAllocator(pipe(std(createHeap()), chunk(), segregated()));
  mine.free(0);
  assert.equal(mine.usableSize(0), 0);
  assert.notEqual(mine.malloc(0), mine.malloc(0));
});

test("memalign gives multiples over any pool, and puts the blocks of the pool back", () => {
  const heap = createHeap();
  for (const pool of [std(heap), pipe(std(heap), stats()), pipe(std(heap), aligned(64))]) {
    const mine = createAllocator(pool);
    const ptrs = [1, 8, 16, 64, 4096, 65536].map((alignment) => {
      const ptr = mine.memalign(alignment, 100);
      assert.equal(ptr % alignment, 0);
      assert.ok(mine.usableSize(ptr) >= 100);
      mine.u8.fill(alignment & 255, ptr, ptr + 100);
      return ptr;
    });
    const moved = ptrs.map((ptr) => mine.realloc(ptr, 1000));
    assert.deepEqual(
      moved.map((ptr) => mine.u8[ptr + 99]),
      [1, 8, 16, 64, 0, 0],
    );
    for (const ptr of moved) mine.free(ptr);
    assert.equal(heap.stats().blocks, 0);
  }
  const none = createAllocator(pipe(std(heap), limit(1000)));
  assert.equal(none.memalign(4096, 10), 0);
  assert.throws(() => none.memalign(48, 10), RangeError);
});

test("using destroys an allocator", () => {
  const heap = createHeap();
  {
    using mine = createAllocator(pipe(std(heap), chunk()));
    mine.u32[mine.malloc(4) >>> 2] = 1;
    assert.equal(heap.stats().blocks, 1);
  }
  assert.equal(heap.stats().blocks, 0);
});

test("wrong arguments throw an error that names them", () => {
  const mine = createAllocator(std(createHeap()));
  const bad = "1" as unknown as number;
  assert.throws(() => mine.malloc(bad), {
    name: "TypeError",
    message: "size must be a number, not string",
  });
  assert.throws(() => mine.malloc(-1), {
    name: "RangeError",
    message: "size must be a whole number from 0 to 2147483647, not -1",
  });
  assert.throws(() => mine.calloc(0.5, 1), /^RangeError: count must be a whole number/);
  assert.throws(() => mine.free(-1), {
    name: "RangeError",
    message: "pointer must be a whole number from 0 to 4294967295, not -1",
  });
  assert.throws(() => mine.usableSize(bad), /^TypeError: pointer must be a number, not string/);
  assert.throws(() => mine.realloc(1.5, 1), /^RangeError: pointer/);
});

const refusals: [() => unknown, string][] = [
  [
    () => chunk(63),
    "RangeError: chunk: bytes must be a whole number from 64 to 1073741824, not 63",
  ],
  [() => chunk("1" as never), "TypeError: chunk: bytes must be a number"],
  [() => zone(0), "RangeError: zone: bytes must be a whole number from 64 to 1073741824, not 0"],
  [
    () => coalescing(1.5),
    "RangeError: coalescing: bytes must be a whole number from 64 to 1073741824, not 1.5",
  ],
  [
    () => segregated(15),
    "RangeError: segregated: largest must be a whole number from 16 to 1073741824, not 15",
  ],
  [
    () => freelist(0),
    "RangeError: freelist: size must be a whole number from 1 to 1073741824, not 0",
  ],
  [
    () => freelist(1, { bound: -1 }),
    "RangeError: freelist: bound must be a whole number from 0 to 2147483647, not -1",
  ],
  [() => limit(-1), "RangeError: limit: bytes must be a whole number from 0 to 4294967296, not -1"],
  [
    () => fill({ fresh: 256 }),
    "RangeError: fill: fresh must be a whole number from 0 to 255, not 256",
  ],
  [
    () => fill({ freed: -1 }),
    "RangeError: fill: freed must be a whole number from 0 to 255, not -1",
  ],
  [
    () => aligned(8 as never),
    "RangeError: aligned: alignment must be a whole number from 16 to 65536, not 8",
  ],
  [() => aligned(48 as never), "RangeError: aligned: alignment must be a power of two, not 48"],
  [() => log(1 as never), "TypeError: log: write must be a function"],
  [
    () => hybrid(-1, std(createHeap()), std(createHeap())),
    "RangeError: hybrid: most must be a whole number from 0 to 2147483647, not -1",
  ],
];

for (const [make, text] of refusals) {
  test(text, () => {
    assert.throws(make, (error) => String(error) === text);
  });
}
