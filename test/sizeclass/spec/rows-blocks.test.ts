/** Rows 124 to 127 of the checklist: iteration, caches, the combination, large blocks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createSizeClassHeap,
  type SizeClassAllocator,
  type SizeClassHeap,
  sparseSpace,
} from "#src/sizeclass/index.js";
import { Random, seedOf } from "../../support/random.js";

/** The same behaviour at 2^44 as in linear memory, in both back ends. */
const linear = { metadataSize: 16, releaseInterval: -1 } as const;
const subjects: [string, () => SizeClassAllocator][] = [
  ["sparse", () => createSizeClassHeap({ space: sparseSpace(), metadataSize: 16 })],
  ["wasm", () => createSizeClassHeap(linear)],
  ["wasm, reserved", () => createSizeClassHeap({ ...linear, regions: "reserved" })],
  ["js", () => createSizeClassHeap({ ...linear, backend: "js" })],
];

function statsOf(a: SizeClassAllocator, id: number) {
  return a.primary.stats().find((each) => each.id === id);
}

for (const [name, make] of subjects) {
  test(`${name}, row 124: iteration reports every block, and more`, () => {
    const a = make();
    const live = new Set<number>();
    for (let i = 0; i < 3000; i++) live.add(a.malloc((i * 37) % 5000));
    for (let i = 0; i < 20; i++) live.add(a.malloc(200_000 + i * 1000));
    const seen = new Map<number, number>();
    a.forEachBlock((block, size) => seen.set(block, size));
    for (const p of live) assert.equal(seen.get(p), a.usableSize(p));
    const chunks: number[] = [];
    a.primary.forEachChunk((chunk) => chunks.push(chunk));
    assert.ok(chunks.length > 3000 && new Set(chunks).size === chunks.length);
    assert.equal(seen.size, chunks.length + 20);
  });

  test(`${name}, row 125: the first operation of a cache may be a free`, () => {
    const a = make();
    const id = a.primary.map.id(1024);
    const [chunk] = a.primary.getFrom(id, 1) as [number];
    a.free(chunk);
    assert.equal(a.malloc(1024), chunk);
    a.free(chunk);
    a.drain();
    assert.equal(statsOf(a, id)?.frees, statsOf(a, id)?.allocations);
  });

  test(`${name}, row 125: a full cache returns its newest half, and drain returns all`, () => {
    const a = make();
    const id = a.primary.map.id(1024);
    const hint = a.primary.map.cachedHint(id);
    const chunks = a.primary.getFrom(id, 2 * hint + 1);
    for (const p of chunks.slice(0, 2 * hint)) a.free(p);
    assert.equal(statsOf(a, id)?.frees, 0);
    a.free(chunks[2 * hint] as number);
    assert.equal(statsOf(a, id)?.frees, hint);
    const back = a.primary.getFrom(id, hint);
    assert.deepEqual(back, chunks.slice(hint, 2 * hint));
    a.drain();
    assert.equal(statsOf(a, id)?.frees, 2 * hint + 1);
    assert.ok(a.primary.isValid());
  });

  test(`${name}, row 126: sizes of 1 to 2^24, at alignments`, () => {
    const a = make();
    for (let size = 1; size <= 2 ** 24; size = size * 2 + (size & 5)) {
      for (const alignment of [1, 8, 16, 64, 256, 4096, 65536]) {
        const p = a.memalign(alignment, size);
        assert.ok(p !== 0 && p % alignment === 0, `${size} at ${alignment}: ${p}`);
        assert.ok(a.usableSize(p) >= size);
        assert.equal(a.blockBegin(p + size - 1), p);
        a.free(p);
      }
    }
    assert.equal(a.stats().large.mappedBytes, 0);
    assert.ok(a.primary.isValid());
  });

  test(`${name}, row 126: null pointers, too large and too many requests`, () => {
    const a = make();
    assert.throws(() => a.malloc(-1), RangeError);
    assert.equal(a.reallocate(a.malloc(10), 0), 0);
    assert.notEqual(a.reallocate(0, 10), 0);
    assert.notEqual(a.realloc(a.malloc(10), 0), 0);
    assert.equal(a.calloc(2 ** 16, 2 ** 16), 0);
    a.free(0);
    assert.equal(a.usableSize(0), 0);
    const zero = a.malloc(0);
    assert.ok(a.usableSize(zero) > 0);
    const p = a.malloc(100);
    assert.equal(a.realloc(p, 101), p, "as long as the class holds it");
    assert.notEqual(a.realloc(p, 1000), p);
  });

  test(`${name}, row 127: 1 000 large blocks, freed in any order, leave nothing mapped`, (t) => {
    const a = make();
    const seed = seedOf(127);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    for (let round = 0; round < 2; round++) {
      const blocks = Array.from({ length: 1000 }, (_, i) => a.malloc(131073 + i));
      assert.equal(new Set(blocks).size, 1000);
      for (const p of blocks) {
        assert.equal(p % 4096, 0);
        assert.equal(a.blockBegin(p + 131072), p);
        assert.equal(a.primary.pointerIsMine(p), false);
      }
      assert.ok(a.stats().large.mappedBytes > 1000 * 131073);
      assert.ok(a.primary.isValid());
      while (blocks.length > 0) a.free(blocks.splice(random.below(blocks.length), 1)[0] as number);
      assert.equal(a.stats().large.mappedBytes, 0);
    }
    assert.equal(a.stats().large.allocations, 2000);
    assert.match(
      a.printStats(),
      /Stats: LargeMmapAllocator: allocated 2000 times, remains 0 \(0 K\) max 1[23]\d M; by size logs: 17:2000; \n$/,
    );
  });
}

test("row 127: the page after a large block is not part of it; its metadata is kept", () => {
  const space = sparseSpace();
  const a = createSizeClassHeap({ space });
  const p = a.malloc(200_000);
  const end = p + a.usableSize(p);
  assert.equal(a.contains(end - 1), true);
  assert.equal(a.contains(end + 4096), false);
  assert.throws(() => space.load32(end + 4096), /nothing is mapped at/);
  const meta = a.metadata(p + 1234);
  assert.ok(meta + 2048 <= p && meta >= p - 4096);
  space.store32(meta, 77);
  const q = a.malloc(150_000);
  a.free(q);
  assert.equal(space.load32(a.metadata(p)), 77);
  a.free(p);
  assert.throws(() => space.load32(p), /nothing is mapped at/);
});

test("row 127: memory that other code grows is not used", () => {
  const memory = new WebAssembly.Memory({ initial: 3, maximum: 4096 });
  new Uint8Array(memory.buffer).fill(0xa5);
  const heap: SizeClassHeap = createSizeClassHeap({ memory });
  const first = heap.malloc(300_000);
  const theirs = memory.grow(5) * 65536;
  new Uint8Array(memory.buffer, theirs, 5 * 65536).fill(0x77);
  const blocks = Array.from({ length: 50 }, () => heap.malloc(300_000));
  for (const p of [first, ...blocks]) {
    assert.notEqual(p, 0);
    assert.ok(p + 300_000 <= theirs || p >= theirs + 5 * 65536);
    heap.u8.fill(1, p, p + 300_000);
  }
  assert.ok(heap.u8.subarray(theirs, theirs + 5 * 65536).every((byte) => byte === 0x77));
  assert.ok(heap.u8.subarray(0, 3 * 65536).every((byte) => byte === 0xa5));
  for (const p of [first, ...blocks]) heap.free(p);
  assert.ok(heap.primary.isValid());
});

test("force lock: only caches serve, until the locks are released", () => {
  const errors: number[] = [];
  const heap = createSizeClassHeap({ onError: (code) => errors.push(code) });
  const p = heap.malloc(100);
  assert.equal(heap.primary.forceLock(), true);
  assert.equal(heap.primary.forceLock(), false, "held already");
  assert.notEqual(heap.malloc(100), 0, "from the cache");
  assert.equal(heap.malloc(2000), 0);
  assert.equal(heap.malloc(200_000), 0);
  assert.deepEqual(errors, [12, 12]);
  assert.throws(() => heap.primary.getFrom(3, 1), /getFrom: another thread holds the lock/);
  heap.primary.forceUnlock();
  assert.notEqual(heap.malloc(2000), 0);
  heap.free(p);
  assert.ok(heap.primary.isValid());
});

test("a large block that is freed under the lock is unmapped when the lock is released", () => {
  const heap = createSizeClassHeap();
  const blocks = [0, 1, 2].map(() => heap.malloc(300_000));
  heap.primary.forceLock();
  for (const p of blocks) heap.free(p);
  assert.ok(heap.stats().large.mappedBytes > 900_000);
  heap.primary.forceUnlock();
  heap.free(heap.malloc(300_000));
  assert.equal(heap.stats().large.mappedBytes, 0);
});

test("chunks that are freed under the lock return to the region when it is released", () => {
  const heap = createSizeClassHeap();
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 100);
  heap.primary.forceLock();
  for (const p of chunks) heap.free(p);
  heap.primary.forceUnlock();
  assert.equal(new Set(Array.from({ length: 200 }, () => heap.malloc(1024))).size, 200);
  heap.drain();
  assert.ok(heap.primary.isValid());
  assert.equal(statsOf(heap, id)?.frees, 100 + statsOf(heap, id)!.allocations - 300);
});

test("an aligned block of size 0 has an address of its own, also where its region is full", () => {
  const heap = createSizeClassHeap({ spaceSize: 2 ** 22, granule: 4096 });
  const blocks = Array.from({ length: 100 }, () => heap.memalign(4096, 0));
  assert.equal(new Set(blocks).size, 100);
  for (const p of blocks) {
    assert.ok(p % 4096 === 0 && heap.usableSize(p) >= 1);
    heap.free(p);
  }
  assert.ok(heap.primary.isValid());
});
