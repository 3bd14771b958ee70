/**
 * Regions on demand, LLVM's SizeClassAllocator32: the rows of the checklist about regions, in
 * linear memory, and what only they have. The other suites use them as subjects.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createSizeClassHeap,
  type SizeClassError,
  type SizeClassHeap,
  type SizeClassOptions,
} from "#src/sizeclass/index.js";
import { Random, seedOf } from "../../support/random.js";

const KIB = 1024;

function make(options: SizeClassOptions = {}): SizeClassHeap {
  return createSizeClassHeap({ regions: "onDemand", releaseInterval: -1, ...options });
}

function statsOf(heap: SizeClassHeap, id: number) {
  const one = heap.primary.stats().find((each) => each.id === id);
  assert.ok(one, `class ${id} has nothing mapped`);
  return one;
}

/** Chunks by their index in their region. */
function indexes(heap: SizeClassHeap, id: number, chunks: readonly number[]): number[] {
  const { spaceBegin, regionBytes } = heap.primary;
  return chunks.map((p) => ((p - spaceBegin) % regionBytes) / heap.primary.map.size(id));
}

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

/** Takes chunks of 1 024 bytes, 64 a region, and returns all but some, by their index. */
function makeHoles(heap: SizeClassHeap, regions: number, kept: readonly number[]): number[] {
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, regions * 64).toSorted((x, y) => x - y);
  heap.primary.returnTo(
    id,
    chunks.filter((_, i) => !kept.includes(i)),
  );
  heap.primary.releaseAll();
  assert.ok(heap.primary.isValid());
  return chunks;
}

test("row 120: ranges of free chunks continue from one region to the next", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = makeHoles(heap, 3, [0, 100, 191]);
  const one = statsOf(heap, id);
  // Three pages have a live chunk.
  assert.equal(one.releasedBytes, 3 * 64 * KIB - 3 * 4096);
  assert.ok(one.releases === 2 || one.releases === 3, `${one.releases} ranges`);
  assert.deepEqual(heap.primary.getFrom(id, 2), chunks.slice(-3, -1), "sorted, from the end");
  assert.ok(heap.primary.isValid());
});

test("a class of which all chunks are free returns its regions and its array", () => {
  const mapped = new Map<number, number>();
  const heap = make({
    onMap: (address, bytes) => {
      for (let at = 0; at < bytes; at += 4096) mapped.set(address + at, 1);
    },
    onUnmap: (address, bytes) => {
      for (let at = 0; at < bytes; at += 4096) assert.ok(mapped.delete(address + at));
    },
  });
  const before = mapped.size;
  const other = heap.malloc(500);
  const with500 = mapped.size;
  const chunks = makeHoles(heap, 40, []);
  const id = heap.primary.map.id(1024);
  assert.equal(mapped.size, with500, "every page");
  assert.deepEqual(heap.primary.regionsOf(id), []);
  const { mappedBytes, arrayBytes, chunks: made, releasedBytes } = statsOf(heap, id);
  assert.deepEqual([mappedBytes, arrayBytes, made, releasedBytes], [0, 0, 0, 40 * 64 * KIB]);
  assert.equal(heap.primary.totalMemoryUsed, 128 * 512);
  heap.forEachBlock((p) => assert.ok(!chunks.includes(p)));
  assert.equal(heap.malloc(1024), heap.primary.regionBegin(id), "and has one again");
  heap.free(other);
  heap.free(heap.primary.regionBegin(id));
  heap.drain();
  heap.primary.releaseAll();
  assert.equal(mapped.size, before);
});

test("regions of which all chunks are free are released, and those around them stay", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = makeHoles(heap, 5, [70, 200]);
  const begins = [1, 3].map((i) => chunks[i * 64] as number);
  assert.deepEqual(heap.primary.regionsOf(id), begins);
  const { chunks: there, freeChunks, allocations, frees } = statsOf(heap, id);
  assert.deepEqual([there, freeChunks, allocations - frees], [128, 126, 2]);
  const again = heap.primary.getFrom(id, 126 + 64);
  assert.equal(new Set([...again, chunks[70], chunks[200]]).size, 192, "each once");
  assert.equal(heap.primary.regionsOf(id).length, 3);
  heap.primary.returnTo(id, [...again, chunks[70] as number]);
  heap.primary.releaseAll();
  assert.deepEqual(heap.primary.regionsOf(id), [begins[1]]);
  assert.ok(heap.primary.isValid());
});

test("an array that is far too large moves when regions are released", () => {
  const heap = make();
  const id = heap.primary.map.id(64);
  const chunks = heap.primary.getFrom(id, 100_000);
  const large = statsOf(heap, id).arrayBytes;
  heap.primary.returnTo(id, chunks.slice(1));
  heap.primary.releaseAll();
  const { arrayBytes, freeChunks } = statsOf(heap, id);
  assert.ok(large > 400_000 && arrayBytes <= 4 * 4096, `${arrayBytes} of ${large} bytes`);
  assert.equal(freeChunks, 1023);
  assert.ok(heap.primary.isValid());
  assert.equal(new Set(heap.primary.getFrom(id, 20_000)).size, 20_000);
  assert.ok(heap.primary.isValid());
});

test("regions stay with metadata, which outlives its chunks, and with releaseLast: false", () => {
  for (const options of [{ metadataSize: 16 }, { releaseLast: false }]) {
    const heap = make(options);
    const id = heap.primary.map.id(1024);
    const chunks = heap.primary.getFrom(id, 120);
    const { length } = heap.primary.regionsOf(id);
    heap.primary.returnTo(id, chunks);
    heap.primary.releaseAll();
    assert.equal(heap.primary.regionsOf(id).length, length);
    assert.ok(heap.primary.isValid());
  }
});

test("pointers into a released region are not blocks, or are inside a large block", () => {
  const heap = make();
  const blocks = Array.from({ length: 500 }, () => heap.malloc(1000));
  for (const p of blocks) heap.free(p);
  heap.drain();
  heap.primary.releaseAll();
  const p = blocks[70] as number;
  assert.throws(() => heap.free(p), { code: "ERR_NOT_A_BLOCK" });
  assert.throws(() => heap.primary.returnTo(heap.primary.map.id(1000), [p]), {
    code: "ERR_NOT_A_BLOCK",
  });
  assert.throws(() => heap.usableSize(p), { code: "ERR_NOT_A_BLOCK" });
  assert.deepEqual([heap.blockBegin(p), heap.primary.classOf(p)], [0, 0]);
  heap.abi.free(p);
  const large = heap.malloc(400_000);
  assert.ok(p > large && p < large + 400_000, "the large block lies there");
  assert.throws(() => heap.free(p), { code: "ERR_INTERIOR_POINTER" });
  heap.abi.free(p);
  assert.equal(heap.usableSize(large), 401_408, "C's free does not free the block around it");
  heap.free(large);
  assert.ok(heap.primary.isValid());
});

test("a double free in the free that releases the region is found", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 128).toSorted((x, y) => x - y);
  const again = chunks[64] as number;
  for (const p of chunks.slice(0, 32)) heap.free(p);
  heap.primary.returnTo(id, chunks.slice(64));
  heap.primary.releaseInterval = 0;
  assert.throws(
    () => heap.free(again),
    (error: SizeClassError) => error.code === "ERR_DOUBLE_FREE" && error.ptr === again,
  );
  assert.deepEqual(heap.primary.regionsOf(id), [chunks[0]]);
  for (let i = 0; i < 32; i++) assert.notEqual(heap.malloc(1024), again);
  assert.ok(heap.primary.isValid());
});

test("a chunk that is free and in a cache is found by a release, and its region stays", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const p = heap.malloc(1024);
  heap.drain();
  heap.free(p);
  heap.primary.returnTo(id, [p]);
  assert.throws(
    () => heap.primary.releaseAll(),
    (error: SizeClassError) => error.code === "ERR_DOUBLE_FREE" && error.ptr === p,
  );
  assert.equal(heap.primary.regionsOf(id).length, 1);
  assert.equal(heap.malloc(1024), p, "the cache has it");
  assert.notEqual(heap.malloc(1024), p, "and nobody else");
  assert.ok(heap.primary.isValid());
});

test("row 120: the last range stays with releaseLast: false", () => {
  const heap = make({ releaseLast: false });
  const id = heap.primary.map.id(1024);
  heap.primary.returnTo(id, heap.primary.getFrom(id, 64));
  heap.primary.releaseAll();
  assert.equal(statsOf(heap, id).releases, 0);
});

test("row 121: a chunk that was freed twice is found by the next release, in any region", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 5 * 64);
  const twice = chunks[200] as number;
  heap.primary.returnTo(id, chunks);
  heap.primary.returnTo(id, [twice]);
  assert.throws(
    () => heap.primary.releaseAll(),
    (error: SizeClassError) => error.code === "ERR_DOUBLE_FREE" && error.ptr === twice,
  );
  assert.deepEqual(heap.primary.regionsOf(id), [], "all were free");
  assert.ok(heap.primary.isValid());
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
  assert.equal(texts[0], "Out of memory. There is no region of 64KB for size class 32.");
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
