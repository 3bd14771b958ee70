/**
 * Regions on demand, LLVM's SizeClassAllocator32: the rows of the checklist about regions, in
 * linear memory, and what only they have. The other suites use them as subjects.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random, seedOf } from "../../support/random.js";
import { indexes, make, statsOf } from "./demand.js";

const KIB = 1024;

test("row 112: without shuffling, the first blocks of a class ascend from its region's begin", () => {
  const heap = make();
  for (const size of [32, 64, 1024, 3072]) {
    const blocks = [0, 1, 2].map(() => heap.malloc(size));
    const begin = heap.primary.regionBegin(heap.primary.map.id(size));
    assert.deepEqual(blocks, [begin, begin + size, begin + 2 * size]);
  }
});

test("row 113: the chunks of a region are made at once, as many as fit before their metadata", () => {
  const heap = make({ metadataSize: 16, map: "default" });
  heap.primary.getFrom(1, 128);
  const one = statsOf(heap, 1);
  assert.deepEqual([one.chunks, one.freeChunks], [8192, 8064]);
  assert.deepEqual([one.mappedBytes, one.metadataBytes], [128 * KIB, 128 * KIB]);
  heap.primary.getFrom(30, 128);
  const per = Math.floor((256 * KIB) / (3072 + 16));
  assert.deepEqual(
    [statsOf(heap, 30).chunks, statsOf(heap, 30).freeChunks],
    [2 * per, 2 * per - 128],
  );
  assert.equal(heap.primary.regionsOf(30).length, 2);
  assert.ok(heap.primary.isValid());
});

test("a region and its free array are mapped, and nothing else is: row 114", () => {
  const maps: [number, number][] = [];
  const heap = make({ onMap: (address, bytes) => maps.push([address, bytes]) });
  assert.equal(maps.length, 1, "the control area");
  const id = heap.primary.map.id(1024);
  heap.primary.getFrom(id, 1);
  // The array takes a page, and the one before it is its gap.
  assert.deepEqual(
    maps.slice(1).map(([, bytes]) => bytes),
    [2 * 4096, 64 * KIB],
  );
  heap.primary.getFrom(id, 63);
  assert.equal(maps.length, 3);
  const p = heap.primary.regionBegin(id);
  assert.deepEqual(maps[2], [p, 64 * KIB]);
});

test("row 114: an array that has become too small is unmapped after its move", () => {
  const unmaps: number[] = [];
  const heap = make({ onUnmap: (_, bytes) => unmaps.push(bytes) });
  const blocks = Array.from({ length: 20_000 }, () => heap.malloc(64));
  assert.ok(unmaps.length > 2, `${unmaps.length} arrays were left`);
  assert.ok(unmaps.every((bytes, i) => i === 0 || bytes > (unmaps[i - 1] as number)));
  assert.equal(new Set(blocks).size, blocks.length);
  for (const p of blocks) heap.free(p);
  heap.drain();
  assert.ok(heap.primary.isValid());
});

test("row 115: chunks come in the order of the array: the highest of a batch first", () => {
  const heap = make();
  const id = heap.primary.map.id(2048);
  assert.deepEqual(indexes(heap, id, heap.primary.getFrom(id, 4)), [3, 2, 1, 0]);
  const again = heap.primary.getFrom(id, 3);
  heap.primary.returnTo(id, again);
  assert.deepEqual(heap.primary.getFrom(id, 3), again);
});

test("row 116: a seed shuffles the chunks of each region among themselves", () => {
  const orders = [7, 7, 8].map((seed) => {
    const heap = make({ shuffle: true, seed });
    const id = heap.primary.map.id(8192);
    const both = indexes(heap, id, heap.primary.getFrom(id, 16));
    const low = both.slice(0, 8);
    assert.deepEqual(
      low.toSorted((x, y) => x - y),
      [0, 1, 2, 3, 4, 5, 6, 7],
    );
    assert.notDeepEqual(low, both.slice(8), "each region another order");
    return both;
  });
  assert.deepEqual(orders[0], orders[1]);
  assert.notDeepEqual(orders[0], orders[2]);
  // The vector of the specification for seed 0, from the highest chunk down.
  const heap = make({ shuffle: true, seed: 0 });
  const id = heap.primary.map.id(8192);
  const got = indexes(heap, id, heap.primary.getFrom(id, 8));
  assert.deepEqual(
    got,
    [3, 1, 4, 2, 5, 6, 7, 0].map((place) => 7 - place),
  );
});

test("row 117: metadata grows down from the end of the chunk's region", () => {
  const heap = make({ metadataSize: 32 });
  const id = heap.primary.map.id(1000);
  const chunks = heap.primary.getFrom(id, 300);
  for (const p of chunks) {
    const region = heap.primary
      .regionsOf(id)
      .find((begin) => p - begin < heap.primary.regionBytes && p >= begin);
    assert.ok(region !== undefined);
    const meta = heap.primary.metadata(p + 999);
    assert.equal(meta, region + heap.primary.regionBytes - ((p - region) / 1024 + 1) * 32);
  }
});

test("row 118: an address in a chunk finds its begin; rests, arrays and other pages do not", () => {
  const heap = make();
  const { primary } = heap;
  const p = heap.malloc(20_000);
  const begin = primary.regionBegin(primary.classOf(p));
  for (const at of [p, p + 1, p + 24_575]) assert.equal(primary.blockBegin(at), p);
  assert.equal(primary.blockBegin(begin + 2 * 24_576), 0, "the rest of a region");
  assert.equal(primary.blockBegin(begin - 1), 0, "the array before it");
  assert.equal(primary.blockBegin(primary.spaceBegin - 1), 0);
  assert.equal(primary.blockBegin(primary.spaceBegin + 2 ** 30), 0);
  assert.equal(heap.blockBegin(2 ** 32 - 1), 0);
  assert.deepEqual(
    [primary.classOf(p + 5), primary.sizeOf(p + 5)],
    [primary.map.id(20_000), 24_576],
  );
  assert.equal(primary.pointerIsMine(begin - 1), false);
  const large = heap.malloc(100_000);
  assert.deepEqual([primary.classOf(large), heap.blockBegin(large + 99_999)], [0, large]);
});

test("row 122: no region is left: each class reports once, free chunks of larger classes serve", () => {
  const texts: string[] = [];
  const errors: number[] = [];
  const heap = make({
    maximum: 2 ** 21,
    onExhausted: (error) => texts.push(error.message),
    onError: (code) => errors.push(code),
  });
  const larger = heap.malloc(64);
  const blocks: number[] = [];
  for (let p = heap.malloc(32); p !== 0; p = heap.malloc(32)) blocks.push(p);
  assert.equal(
    texts[0],
    "terrane: Out of memory. Dying. There is no region of 64KB for size class 32.",
  );
  assert.equal(new Set(texts).size, texts.length);
  assert.deepEqual(errors, [12]);
  assert.equal(heap.malloc(32), 0);
  assert.equal(new Set(texts).size, texts.length);
  assert.ok(
    blocks.some((p) => heap.usableSize(p) === 64),
    "from the region of the larger class",
  );
  const live = blocks.length * 32;
  assert.ok(live > 2 ** 21 * 0.65, `${live} bytes of ${2 ** 21}`);
  for (const p of [larger, ...blocks]) heap.free(p);
  assert.notEqual(heap.malloc(32), 0);
  assert.ok(heap.primary.isValid());
  assert.throws(() => heap.primary.getFrom(20, 1000), { code: "ERR_CLASS_FULL" });
});

test("row 123: statistics have the allocator's name, and count all regions", () => {
  const heap = make();
  heap.primary.getFrom(heap.primary.map.id(3072), 50);
  const [head, line] = heap.primary.printStats().split("\n");
  assert.equal(head, "Stats: SizeClassAllocator32: 0M mapped in 50 allocations; remains 50");
  assert.match(
    line as string,
    /\(3072\): mapped: 192K allocs: 50 .* num_freed_chunks 13 avail: 63 /,
  );
  assert.equal(heap.primary.totalMemoryUsed, 63 * 3072);
});

test("free chunks are on no list in chunks: what was written stays until it is taken", () => {
  const heap = make();
  const blocks = Array.from({ length: 5000 }, () => heap.malloc(64));
  for (const p of blocks) heap.u8.fill(0x5a, p, p + 64);
  for (const p of blocks) heap.free(p);
  heap.drain();
  heap.primary.releaseAll();
  for (const p of blocks) assert.ok(heap.u8.subarray(p, p + 64).every((byte) => byte === 0x5a));
});

test("a memory begins small, and a class is never full while there is memory", () => {
  const heap = make({ maximum: 2 ** 25 });
  assert.ok(heap.u8.length < 2 ** 18, `${heap.u8.length} bytes at the beginning`);
  let live = 0;
  while (heap.malloc(1000) !== 0) live += 1000;
  assert.ok(live > 0.9 * 2 ** 25, `${live} bytes fit`);
});

test("regions take the pages of freed large blocks, and blocks do not overlap", (t) => {
  const seed = seedOf(7900);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const heap = make({ maximum: 2 ** 23 });
  const large: number[] = [];
  for (let p = heap.malloc(70_000); p !== 0; p = heap.malloc(70_000)) large.push(p);
  assert.ok(large.length > 80, `${large.length} large blocks`);
  const live = new Map<number, number>();
  for (const p of large) heap.free(p);
  for (let i = 0; i < 4000; i++) {
    const size = random.skewed(1, 30_000);
    const p = heap.malloc(size);
    if (p !== 0) live.set(p, size);
  }
  const sorted = [...live].sort(([p], [q]) => p - q);
  sorted.forEach(([p, size], i) => {
    assert.ok(p + size <= (sorted[i + 1]?.[0] ?? heap.u8.length));
  });
  assert.ok(sorted.length > 500);
  for (const p of live.keys()) heap.free(p);
  heap.drain();
  assert.ok(heap.primary.isValid());
});
