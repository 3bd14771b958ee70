/** Layers that cut blocks from larger ones, or keep blocks: what each of them does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  arena,
  batch,
  buddy,
  chunk,
  coalescing,
  freelist,
  kingsley,
  lea,
  pipe,
  segregated,
  slices,
  stats,
  statsOf,
  std,
  zone,
} from "#src/layers/index.js";
import { wasmMemory } from "#src/memory/index.js";

function source() {
  const heap = createHeap();
  return { base: std(heap), blocks: () => heap.stats().blocks };
}

test("chunk carves small blocks from a large one", () => {
  const { base, blocks } = source();
  const pool = pipe(base, chunk(4096));
  const ptrs = Array.from({ length: 100 }, () => pool.get(40));
  assert.equal(ptrs[99]! - ptrs[98]!, 48);
  assert.equal(blocks(), 2, "100 blocks of 48 bytes in chunks of 4096");
  const large = pool.get(1025);
  assert.equal(blocks(), 3);
  pool.put(large, 1025);
  assert.equal(blocks(), 2);
  assert.ok(pool.owns(ptrs[50]!) && !pool.owns(large));
  pool.destroy();
  assert.equal(blocks(), 0);
});

test("zone releases small and large blocks back to a mark", () => {
  const { base, blocks } = source();
  const pool = pipe(base, zone(1024));
  const first = pool.get(100);
  const mark = pool.mark();
  const second = pool.get(100);
  for (let i = 0; i < 50; i++) pool.get(100);
  pool.get(5000);
  assert.ok(blocks() > 5);
  pool.release(mark);
  assert.equal(blocks(), 1);
  assert.equal(statsOf(pool)?.bytes, 100);
  assert.equal(pool.get(100), second, "the same address again");
  assert.equal(second - first, 112);
  pool.put(first, 100);
  assert.notEqual(pool.get(100), first, "put frees nothing");
  pool.destroy();
  assert.equal(blocks(), 0);
});

test("batch frees what is left, wherever in its list put blocks were", () => {
  const { base, blocks } = source();
  const pool = pipe(base, batch());
  const ptrs = Array.from({ length: 6 }, (_, i) => pool.get(10 + i));
  assert.equal(pool.sizeOf(ptrs[3]!), 13);
  for (const i of [0, 5, 2]) pool.put(ptrs[i]!, 0);
  assert.equal(blocks(), 3);
  assert.deepEqual(statsOf(pool), { allocations: 6, frees: 3, bytes: 38, peak: 75, held: 48 });
  pool.destroy();
  assert.equal(blocks(), 0);
});

test("freelist gives the last block of its size again and keeps no more than its bound", () => {
  const { base, blocks } = source();
  const pool = pipe(base, freelist(64, { bound: 2 }));
  const sizes = [64, 1, 33];
  const ptrs = sizes.map((size) => pool.get(size));
  for (const [i, ptr] of ptrs.entries()) pool.put(ptr, sizes[i]!);
  assert.equal(blocks(), 2);
  assert.equal(statsOf(pool)?.held, 128);
  assert.equal(pool.get(20), ptrs[1]);
  assert.equal(pool.get(20), ptrs[0]);
  const large = pool.get(65);
  pool.put(large, 65);
  assert.equal(blocks(), 2, "larger blocks pass");
});

test("segregated rounds to powers of two and reuses by class", () => {
  const { base, blocks } = source();
  const counted = pipe(base, stats());
  const pool = pipe(counted, segregated(1024));
  const taken = [0, 16, 17, 1000].map((size) => {
    const before = statsOf(counted)!.bytes;
    pool.put(pool.get(size), size);
    return statsOf(counted)!.bytes - before;
  });
  assert.deepEqual(taken, [16, 0, 32, 1024], "the second block of 16 bytes is the first one again");
  pool.put(pool.get(1025), 1025);
  assert.equal(statsOf(counted)?.frees, 1, "larger blocks pass");
  pool.destroy();
  assert.equal(blocks(), 0);
});

test("coalescing joins neighbours that are freed in any order", () => {
  const { base, blocks } = source();
  const orders = ["012", "021", "102", "120", "201", "210"];
  for (const order of orders) {
    const pool = pipe(base, coalescing(4096));
    const ptrs = [pool.get(1000), pool.get(1000), pool.get(1000)];
    const rest = pool.get(1000);
    for (const i of order) pool.put(ptrs[Number(i)]!, 1000);
    assert.equal(pool.get(3000), ptrs[0], order);
    assert.equal(blocks(), 1);
    assert.ok(pool.owns(rest) && !pool.owns(rest + 4096));
    pool.destroy();
  }
});

test("coalescing uses larger blocks when those of a similar size are used up", () => {
  const { base, blocks } = source();
  const pool = pipe(base, coalescing(8192));
  for (let round = 0; round < 2; round++) {
    const ptr = pool.get(600);
    const rest = pool.get(16);
    pool.put(ptr, 600);
    assert.equal(pool.get(600), ptr);
    pool.get(300);
    assert.equal(blocks(), 1);
    pool.put(ptr, 600);
    assert.ok(rest > ptr);
    pool.destroy();
  }
  pool.get(100);
  pool.get(300);
  assert.equal(blocks(), 1);
});

test("coalescing gives all empty arenas but one back", () => {
  const { base, blocks } = source();
  const pool = pipe(base, coalescing(4096));
  const ptrs = Array.from({ length: 40 }, () => pool.get(500));
  assert.ok(blocks() >= 5);
  for (const ptr of ptrs) pool.put(ptr, 500);
  assert.equal(blocks(), 1);
  assert.equal(statsOf(pool)?.bytes, 0);
});

test("buddy joins halves: when all blocks are put, a block of a whole arena fits again", () => {
  const runs = slices(wasmMemory());
  const pool = pipe(runs, buddy());
  const first = pool.get(32768);
  pool.put(first, 32768);
  const sizes = Array.from({ length: 64 }, (_, i) => 1 << (4 + (i % 7)));
  const ptrs = sizes.map((size) => pool.get(size));
  assert.equal(new Set(ptrs).size, 64);
  for (const [i, ptr] of ptrs.entries()) {
    assert.equal(ptr % sizes[i]!, 0, "a block begins at a multiple of its size");
    pool.put(ptr, sizes[i]!);
  }
  assert.equal(pool.get(65536), first);
  assert.equal(statsOf(runs)?.bytes, 65536, "of one arena");
});

test("buddy gives all empty arenas but one back", () => {
  const runs = slices(wasmMemory());
  const pool = pipe(runs, buddy());
  const ptrs = Array.from({ length: 9 }, () => pool.get(20000));
  assert.equal(statsOf(runs)?.bytes, 5 * 65536);
  for (const ptr of ptrs) pool.put(ptr, 20000);
  assert.equal(statsOf(runs)?.bytes, 65536);
});

test("using destroys a pool", () => {
  const { base, blocks } = source();
  {
    using pool = arena(base);
    pool.get(100);
    assert.equal(blocks(), 1);
  }
  assert.equal(blocks(), 0);
});

test("recipes: Kingsley reuses by class, Lea joins and passes large blocks", () => {
  const { base, blocks } = source();
  const king = kingsley(base);
  const ptr = king.get(100);
  king.put(ptr, 100);
  assert.equal(king.get(128), ptr);
  king.destroy();
  const doug = lea(base);
  const large = doug.get(65537);
  assert.equal(blocks(), 1);
  doug.put(large, 65537);
  assert.equal(blocks(), 0);
  const pair = [doug.get(100), doug.get(100)];
  for (const one of pair) doug.put(one, 100);
  assert.equal(doug.get(200), pair[0]);
});
