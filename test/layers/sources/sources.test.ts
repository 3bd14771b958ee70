/** Memory sources as pools: growth, refusal, reuse, and memory that other code grows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  chunk,
  lock,
  magazines,
  pipe,
  sbrk,
  sharedBump,
  slices,
  statsOf,
  std,
} from "#src/layers/index.js";
import {
  arrayBuffer,
  failingMemory,
  growExactly,
  sharedArrayBuffer,
  wasmMemory,
} from "#src/memory/index.js";

const SLICE = 65536;

test("std rounds tiny blocks up to keep its alignment, and returns 0 for impossible sizes", () => {
  const pool = std(createHeap({ maximum: 2 ** 22 }));
  for (let i = 0; i < 20; i++) assert.equal(pool.get(i % 9) % 16, 0);
  assert.equal(pool.get(2 ** 23), 0);
  assert.equal(pool.get(2 ** 40), 0);
  assert.equal(pool.sizeOf(pool.get(100)), 112);
  assert.throws(() => pool.put(12345, 1), { code: "ERR_NOT_A_BLOCK" });
});

for (const make of [wasmMemory, arrayBuffer, sharedArrayBuffer]) {
  test(`sbrk and slices over ${make.name} give blocks that can be written`, () => {
    for (const pool of [sbrk(make()), slices(make())]) {
      const ptrs = [10, 100000, 1, 1000000].map((size) => [pool.get(size), size] as const);
      for (const [ptr, size] of ptrs) {
        assert.notEqual(ptr, 0);
        pool.memory.bytes().fill(size & 255, ptr, ptr + size);
      }
      for (const [ptr, size] of ptrs) {
        assert.equal(pool.memory.u32()[ptr >>> 2]! & 255, size & 255);
        assert.equal(pool.memory.bytes()[ptr + size - 1], size & 255);
        assert.ok(pool.owns(ptr));
      }
    }
  });
}

test("sbrk takes the last block back; destroy takes all", () => {
  const pool = sbrk(wasmMemory());
  const [a, b] = [pool.get(100), pool.get(100)];
  pool.put(b, 100);
  assert.equal(pool.get(50), b);
  pool.put(a, 100);
  assert.notEqual(pool.get(100), a);
  assert.deepEqual(statsOf(pool), { allocations: 4, frees: 2, bytes: 150, peak: 200, held: 138 });
  pool.destroy();
  assert.ok(!pool.owns(a));
  assert.equal(pool.get(100), a);
});

test("sources return 0 when memory is out, and go on with what there is", () => {
  const exact = () => failingMemory(wasmMemory({ growth: growExactly }), 2);
  const end = sbrk(exact());
  assert.notEqual(end.get(SLICE + 100), 0);
  assert.equal(end.get(5 * SLICE), 0);
  assert.notEqual(end.get(100), 0);
  assert.equal(end.get(2 ** 40), 0);
  const runs = slices(exact());
  const run = runs.get(3 * SLICE);
  assert.equal(runs.get(9 * SLICE), 0);
  runs.put(run, 0);
  assert.equal(runs.get(2 * SLICE), run);
  assert.equal(runs.get(2 ** 40), 0);
});

test("slices grows by what is missing after a free run at the end", () => {
  const source = wasmMemory({ growth: growExactly });
  const pool = slices(source);
  const first = pool.get(2 * SLICE);
  const before = source.buffer.byteLength;
  pool.put(first, 2 * SLICE);
  assert.equal(pool.get(5 * SLICE), first);
  assert.equal(source.buffer.byteLength - before, 3 * SLICE);
});

test("slices joins free runs and uses the first that fits", () => {
  const pool = slices(wasmMemory());
  const ptrs = [1, 1, 1, 1].map((n) => pool.get(n * SLICE));
  assert.equal(pool.sizeOf(ptrs[0]!), SLICE);
  for (const i of [0, 2, 1]) pool.put(ptrs[i]!, SLICE);
  assert.equal(pool.get(3 * SLICE), ptrs[0]);
  pool.put(999 * SLICE, SLICE);
  assert.equal(
    statsOf(pool)?.bytes,
    4 * SLICE,
    "a put of an address that is not a block changes nothing",
  );
  pool.destroy();
  assert.equal(statsOf(pool)?.bytes, 0);
  assert.equal(pool.get(4 * SLICE), ptrs[0]);
});

test("memory that other code grew is never given", () => {
  for (const pooled of [sbrk, slices]) {
    const source = wasmMemory({ growth: growExactly });
    const memory = source.memory!;
    const pool = pooled(source);
    while (pool.get(1000) !== 0 && memory.buffer.byteLength < 4 * SLICE);
    const theirs = memory.grow(2) * SLICE;
    for (let i = 0; i < 200; i++) {
      const ptr = pool.get(1000);
      assert.notEqual(ptr, 0);
      assert.ok(ptr + 1000 <= theirs || ptr >= theirs + 2 * SLICE, `${pool.name} at ${ptr}`);
    }
  }
});

test("sharedBump loses the blocks that pass the layers above, and no others", () => {
  const word = () => new Int32Array(new SharedArrayBuffer(4));
  const used = word();
  const source = pipe(sharedBump(new SharedArrayBuffer(2 ** 20), used), lock(word()));
  const taken = () => (used[0] as number) * 16;
  const pool = pipe(source, chunk(65536), magazines({ largest: 4096 }));
  for (let i = 0; i < 1000; i++) pool.put(pool.get(4096), 4096);
  assert.equal(taken(), 65536, "one chunk, whose block is kept");
  let blocks = 0;
  for (let ptr = pool.get(20000); ptr !== 0; ptr = pool.get(20000)) {
    pool.put(ptr, 20000);
    blocks++;
  }
  assert.equal(taken(), 65536 + blocks * 20000, "every put loses its block");
  assert.ok(2 ** 20 - 16 - taken() < 20000, "and nothing else is lost");
  assert.equal(statsOf(pool)?.bytes, 0, "a request that is refused is in no block");
  assert.notEqual(pool.get(4096), 0, "what is kept is still there");
  const keeps = pipe(
    sharedBump(new SharedArrayBuffer(2 ** 20), word()),
    magazines({ largest: 2 ** 19 }),
  );
  for (let i = 0; i < 1000; i++) {
    const ptr = keeps.get(20000);
    assert.notEqual(ptr, 0);
    keeps.put(ptr, 20000);
  }
});
