/** Layers that keep, place and observe blocks: what each of them does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";
import { TraceParser } from "#src/trace/index.js";
import { Random, seedOf } from "../../support/random.js";

const { statsOf, magazines, mmap, pipe, quarantine, randomised, slab, stats, std } = L;

function source() {
  const heap = createHeap();
  return { heap, base: std(heap), blocks: () => heap.stats().blocks };
}

test("slab packs blocks of one size, and gives empty slabs back", () => {
  const { heap, blocks } = source();
  const pool = pipe(mmap(heap), stats(), L.aligned(65536), slab());
  const ptrs = Array.from({ length: 1000 }, () => pool.get(130));
  assert.equal(blocks(), Math.ceil(1000 / Math.floor(65536 / 160)));
  assert.equal(ptrs[1]! - ptrs[0]!, 160, "four sizes for each doubling");
  assert.equal(new Set(ptrs).size, 1000);
  for (const ptr of ptrs) pool.put(ptr, 130);
  assert.equal(blocks(), 1, "the last slab of a size stays");
  const again = pool.get(160);
  assert.ok(ptrs.includes(again));
  assert.equal(pool.owns(again), true);
  pool.destroy();
  assert.equal(blocks(), 0);
});

test("a block of every size is large enough, and loses at most a fifth", () => {
  const pool = pipe(mmap(createHeap()), slab(16384));
  for (let size = 1; size <= 16384; size++) {
    const ptr = pool.get(size);
    const next = pool.get(size);
    const block = Math.abs(next - ptr);
    assert.ok(block >= size, `size ${size}: ${block}`);
    if (size > 128) assert.ok(block < size * 1.25, `size ${size}: ${block}`);
    pool.put(ptr, size);
    pool.put(next, size);
  }
});

test("magazines neither read nor write free blocks, and bound what they keep", () => {
  const { base, blocks } = source();
  const pool = pipe(base, magazines({ rounds: 4, depot: 2 }));
  const ptrs = Array.from({ length: 100 }, () => pool.get(48));
  for (const ptr of ptrs) pool.memory.bytes().fill(7, ptr, ptr + 48);
  for (const ptr of ptrs) pool.put(ptr, 48);
  assert.equal(blocks(), 2 * 4 + 2 * 4, "two magazines and two in the depot");
  assert.equal(statsOf(pool)?.held, 16 * 48);
  const first = pool.get(48);
  assert.equal(first, ptrs.at(-1), "the last one first");
  assert.ok(
    pool.memory
      .bytes()
      .subarray(first, first + 48)
      .every((byte) => byte === 7),
  );
  const kept = new Set([first, ...Array.from({ length: 15 }, () => pool.get(33))]);
  assert.equal(kept.size, 16);
  assert.equal(blocks(), 16, "all of them came from the magazines");
  for (const ptr of kept) pool.put(ptr, 48);
  pool.destroy();
  assert.equal(blocks(), 0);
});

test("bonwick is slabs below magazines", () => {
  const pool = L.bonwick(mmap(createHeap()));
  const ptr = pool.get(100);
  pool.put(ptr, 100);
  assert.match(
    L.formatTree(pool),
    /^magazines\(32\): 1 got, 1 put.*\n {2}slab\(4096\): 1 got, 0 put/,
  );
  // @ts-expect-error the heap's blocks are aligned to 16
  assert.throws(() => L.bonwick(std(createHeap())), /slab needs a source aligned to 65536 bytes/);
});

test("mmap gives aligned runs of slices of a heap with other users", () => {
  const { heap, blocks } = source();
  const pool = mmap(heap);
  const mine = heap.malloc(100);
  const [a, b] = [pool.get(1), pool.get(65537)];
  assert.deepEqual([a! % 65536, b! % 65536], [0, 0]);
  assert.deepEqual([pool.sizeOf(a!), pool.sizeOf(b!), pool.owns(mine)], [65536, 131072, false]);
  pool.destroy();
  assert.equal(blocks(), 1);
  assert.equal(pool.get(2 ** 31), 0);
});

test("randomised places blocks apart, and ignores a second put", (t) => {
  const seed = seedOf(9001);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const pool = pipe(source().base, randomised({ random: () => random.u32() / 2 ** 32 }));
  const ptrs = Array.from({ length: 1000 }, () => pool.get(64));
  assert.equal(new Set(ptrs).size, 1000);
  const steps = ptrs.slice(1).filter((ptr, i) => ptr === ptrs[i]! + 64);
  assert.ok(steps.length < 20, "almost no block follows the one before");
  const { held, bytes } = statsOf(pool)!;
  assert.ok(held >= bytes, "half of the memory is free");
  pool.put(ptrs[0]!, 64);
  const after = statsOf(pool)!.frees;
  pool.put(ptrs[0]!, 64);
  pool.put(ptrs[1]! + 16, 64);
  pool.put(12345, 64);
  assert.equal(statsOf(pool)!.frees, after, "a put of an address that is not a block does nothing");
  assert.equal(new Set(Array.from({ length: 500 }, () => pool.get(64))).has(ptrs[1]!), false);
});

test("quarantine delays the reuse of blocks, poisons them, and releases the oldest first", () => {
  const { base } = source();
  const list = pipe(base, L.freelist(100));
  const pool = pipe(list, quarantine({ bytes: 300 }));
  const ptrs = Array.from({ length: 4 }, () => pool.get(100));
  for (const ptr of ptrs.slice(0, 3)) pool.put(ptr, 100);
  assert.ok(
    pool.memory
      .bytes()
      .subarray(ptrs[0], ptrs[0]! + 100)
      .every((byte) => byte === 0xdf),
  );
  assert.equal(statsOf(pool)?.held, 300);
  pool.put(ptrs[3]!, 100);
  assert.equal(pool.get(100), ptrs[0], "the oldest left");
});

test("quarantine finds a write after put, and the put that finds it is done", () => {
  const { base, blocks } = source();
  const pool = pipe(base, quarantine({ bytes: 150 }));
  const [a, b] = [pool.get(100), pool.get(100)];
  pool.put(a!, 100);
  pool.memory.bytes()[a! + 42] = 1;
  const at = `0x${a!.toString(16)}`;
  const block = `the block of 100 bytes at ${at}`;
  const message = `put: byte 42 of ${block} was written after the block was put`;
  const expected = { name: "LayerError", code: "ERR_WRITE_AFTER_FREE", ptr: a, message };
  assert.throws(() => pool.put(b!, 100), expected);
  assert.equal(blocks(), 1);
  pool.memory.bytes()[b!] = 1;
  assert.throws(() => pool.destroy(), { code: "ERR_WRITE_AFTER_FREE", ptr: b });
  assert.equal(blocks(), 0);
  pool.destroy();
});

test("quarantine calls onUse instead of throwing", () => {
  const seen: [L.Held, number][] = [];
  const onUse = (block: L.Held, offset: number) => void seen.push([block, offset]);
  const pool = pipe(source().base, quarantine({ bytes: 0, poison: 0, onUse }));
  const kept = pipe(source().base, quarantine({ onUse }));
  pool.put(pool.get(10), 10);
  const ptr = kept.get(10);
  kept.put(ptr, 10);
  kept.memory.bytes()[ptr + 9] = 0;
  kept.destroy();
  assert.deepEqual(seen, [[{ ptr, size: 10 }, 9]]);
});

test("dieHard finds a write to a freed block", () => {
  const { base } = source();
  const pool = L.dieHard(base);
  const ptr = pool.get(100);
  pool.put(ptr, 100);
  pool.memory.bytes()[ptr] = 0;
  assert.throws(() => pool.destroy(), { code: "ERR_WRITE_AFTER_FREE", ptr });
});

test("unique serves a source from one pool, which is destroyed with its last user", () => {
  const { base, blocks } = source();
  const shared = L.unique((below) => pipe(below, L.chunk(4096)));
  const [a, b] = [shared(base), shared(base)];
  const ptrs = [a!.get(100), b!.get(100)];
  assert.equal(ptrs[1]! - ptrs[0]!, 112, "one chunk");
  assert.equal(blocks(), 1);
  a!.destroy();
  a!.destroy();
  assert.equal(blocks(), 1);
  b!.destroy();
  assert.equal(blocks(), 0);
  const other = createHeap();
  shared(std(other)).get(10);
  assert.deepEqual([other.stats().blocks, blocks()], [1, 0]);
});

test("trace writes what the reader of traces reads", () => {
  const lines: string[] = [];
  const pool = pipe(
    source().base,
    L.chunk(),
    L.trace((line) => lines.push(line)),
  );
  const mine = L.createAllocator(pool);
  const a = mine.malloc(100);
  const b = mine.realloc(a, 1000);
  mine.free(b);
  mine.calloc(3, 7);
  mine.destroy();
  mine.malloc(1);
  assert.deepEqual(lines, ["m 1 116", "m 2 1016", "f 1", "f 2", "m 3 37", "f 3", "m 4 17"]);
  const parser = new TraceParser("mine");
  parser.feed(new TextEncoder().encode(lines.join("\n")));
  const { facts } = parser.finish();
  assert.deepEqual([facts.operations, facts.allocations, facts.liveAtEnd], [7, 4, 1]);
  assert.equal(facts.peakLiveBytes, 1132);
});

const refusals: [() => unknown, string][] = [
  [() => slab(8), "RangeError: slab: largest must be a whole number from 16 to 16384, not 8"],
  [
    () => magazines({ rounds: 0 }),
    "RangeError: magazines: rounds must be a whole number from 1 to 65536, not 0",
  ],
  [
    () => magazines({ depot: -1 }),
    "RangeError: magazines: depot must be a whole number from 0 to 2147483647, not -1",
  ],
  [
    () => magazines({ largest: 0.5 }),
    "RangeError: magazines: largest must be a whole number from 16 to 1073741824, not 0.5",
  ],
  [
    () => quarantine({ bytes: -1 }),
    "RangeError: quarantine: bytes must be a whole number from 0 to 2147483647, not -1",
  ],
  [
    () => quarantine({ poison: 256 }),
    "RangeError: quarantine: poison must be a whole number from 0 to 255, not 256",
  ],
  [
    () => randomised({ largest: 2 ** 17 }),
    "RangeError: randomised: largest must be a whole number from 16 to 65536, not 131072",
  ],
  [() => L.trace(1 as never), "TypeError: trace: write must be a function"],
  [() => L.unique(1 as never), "TypeError: unique: make must be a function"],
];

for (const [make, text] of refusals) {
  test(text, () => {
    assert.throws(make, (error) => String(error) === text);
  });
}
