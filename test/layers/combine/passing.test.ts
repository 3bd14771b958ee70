/** Layers that change blocks, choose a pool, or pass requests: what each of them does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  aligned,
  bypass,
  check,
  chunk,
  fallback,
  fill,
  ground,
  header,
  hybrid,
  limit,
  nothing,
  type Pool,
  pipe,
  slices,
  stats,
  statsOf,
  std,
  zeroing,
} from "#src/layers/index.js";
import { wasmMemory } from "#src/memory/index.js";

function source() {
  const heap = createHeap();
  return { base: std(heap), blocks: () => heap.stats().blocks };
}

/** The values among 50 bytes. */
function bytesAt(pool: Pool, ptr: number): number[] {
  return [...new Set(pool.memory.bytes().subarray(ptr, ptr + 50))];
}

test("header keeps the sizes of blocks of a pool that needs them", () => {
  const counted = pipe(source().base, stats());
  const pool = pipe(counted, header());
  const ptr = pool.get(100);
  assert.equal(pool.sizeOf(ptr), 100);
  assert.equal(statsOf(counted)?.bytes, 116);
  pool.put(ptr, 0);
  assert.equal(statsOf(counted)?.bytes, 0);
});

test("hybrid chooses the pool by the size of the request", () => {
  const { base } = source();
  const [small, big] = [pipe(base, stats()), pipe(base, stats())];
  const pool = hybrid(100, small, big);
  const ptrs = [pool.get(100), pool.get(101)];
  assert.deepEqual([statsOf(small)?.bytes, statsOf(big)?.bytes], [100, 101]);
  pool.put(ptrs[1]!, 101);
  assert.deepEqual([statsOf(small)?.bytes, statsOf(big)?.bytes], [100, 0]);
});

test("fallback uses the second pool, and puts blocks to the pool that gave them", () => {
  const { base } = source();
  const [first, second] = [pipe(base, limit(100), check()), pipe(base, stats())];
  const pool = fallback(first, second);
  const ptrs = [pool.get(80), pool.get(80)];
  assert.deepEqual([statsOf(first)?.bytes, statsOf(second)?.bytes], [80, 80]);
  for (const ptr of ptrs) pool.put(ptr, 80);
  assert.deepEqual([statsOf(first)?.bytes, statsOf(second)?.bytes], [0, 0]);
});

test("pools over two pools refuse two memories", () => {
  const message = "hybrid(10): its pools must lie in one memory";
  assert.throws(() => hybrid(10, source().base, source().base), { name: "TypeError", message });
});

test("a pool over two owns what one of them owns", () => {
  const { base } = source();
  const pool = hybrid(100, pipe(base, chunk(1024)), pipe(base, check({ onLeak: () => {} })));
  const [small, big, other] = [pool.get(10), pool.get(200), base.get(10)];
  assert.deepEqual([pool.owns(small), pool.owns(big), pool.owns(other)], [true, true, false]);
});

test("zeroing clears blocks that were written before", () => {
  const { base } = source();
  const dirty = base.get(50);
  base.memory.bytes().fill(9, dirty, dirty + 50);
  base.put(dirty, 50);
  const pool = pipe(base, zeroing());
  const ptr = pool.get(50);
  assert.equal(ptr, dirty);
  assert.deepEqual(bytesAt(pool, ptr), [0]);
  assert.equal(pool.traits.zeroed, true);
});

test("fill marks fresh and freed blocks", () => {
  const pool = pipe(source().base, chunk(), fill());
  const ptr = pool.get(50);
  assert.deepEqual(bytesAt(pool, ptr), [0xd0]);
  pool.put(ptr, 50);
  assert.deepEqual(bytesAt(pool, ptr), [0xdf]);
  const other = pipe(source().base, chunk(), fill({ fresh: 1, freed: 2 }));
  const block = other.get(50);
  assert.deepEqual(bytesAt(other, block), [1]);
});

test("aligned gives multiples, and puts the blocks of the source back", () => {
  const { base, blocks } = source();
  for (const alignment of [16, 64, 4096, 65536] as const) {
    const pool = pipe(base, aligned(alignment));
    const ptrs = Array.from({ length: 5 }, () => pool.get(100));
    for (const ptr of ptrs) assert.equal(ptr % alignment, 0);
    for (const ptr of ptrs) pool.put(ptr, 100);
  }
  assert.equal(blocks(), 0);
});

test("aligned takes no bytes over a source that has the alignment", () => {
  const runs = slices(wasmMemory());
  const pool = pipe(runs, aligned(4096));
  assert.equal(pool.get(65536) % 4096, 0);
  assert.equal(statsOf(runs)?.bytes, 65536);
});

test("ground stops destroy, bypass passes it on", () => {
  const { base, blocks } = source();
  const shared = pipe(base, chunk());
  shared.get(10);
  pipe(shared, ground()).destroy();
  assert.equal(blocks(), 1);
  pipe(shared, bypass()).destroy();
  assert.equal(blocks(), 0);
});

test("nothing returns 0 and owns no block", () => {
  const pool = pipe(source().base, nothing());
  assert.deepEqual([pool.get(0), pool.get(1000), pool.owns(16)], [0, 0, false]);
});
