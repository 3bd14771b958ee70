/** Rows 111 to 118 of the checklist: regions with the original constants. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSizeClassMap, type SizeClassMapName, sizeClassMaps } from "#src/sizeclass/index.js";
import { indexes, original, statsOf } from "./original.js";

const KIB = 1024;

test("row 111: every map is valid; default: id(257) = 17, id(131073) = 0", () => {
  for (const name of Object.keys(sizeClassMaps) as SizeClassMapName[]) {
    createSizeClassMap(name).validate();
  }
  const map = createSizeClassMap("default");
  assert.deepEqual(
    [1, 257, 513, 131072, 131073].map((size) => map.id(size)),
    [1, 17, 21, 52, 0],
  );
  assert.deepEqual(
    [16, 17, 20, 21, 52].map((id) => map.size(id)),
    [256, 320, 512, 640, 131072],
  );
  assert.deepEqual(
    [16, 20, 21, 24, 30, 32, 45, 52].map((id) => map.cachedHint(id)),
    [128, 128, 102, 64, 21, 16, 1, 1],
  );
  assert.deepEqual([map.classes, map.rounded], [53, 64]);
  const small = createSizeClassMap("veryCompact");
  assert.deepEqual([small.classes, small.rounded, small.size(30)], [31, 32, 65536]);
});

test("row 112: without shuffling, the first blocks of a class ascend from its region's begin", () => {
  const subject = original();
  for (const size of [16, 48, 1024, 3072, 131072]) {
    const id = subject.a.primary.map.id(size);
    const begin = subject.a.primary.regionBegin(id);
    const blocks = [0, 1, 2].map(() => subject.a.malloc(size));
    assert.deepEqual(blocks, [begin, begin + size, begin + 2 * size]);
  }
});

test("row 113: populate maps the least multiple of 64 KiB and takes all chunks in it", () => {
  const subject = original({ metadataSize: 16 });
  subject.a.primary.getFrom(1, 128);
  const one = statsOf(subject, 1);
  assert.deepEqual(
    [one.mappedBytes, one.freeChunks, one.chunks, one.arrayBytes],
    [64 * KIB, 3968, 4096, 64 * KIB],
  );
  subject.a.primary.getFrom(30, 128);
  const thirty = statsOf(subject, 30);
  assert.deepEqual([thirty.mappedBytes, thirty.chunks], [384 * KIB, 128]);
  assert.deepEqual([thirty.freeChunks, thirty.metadataBytes], [0, 64 * KIB]);
  assert.ok(subject.a.primary.isValid());
});

test("row 114: one mapping at the beginning, four after the first chunks, one unmapping of all", () => {
  const subject = original({ metadataSize: 16 });
  assert.equal(subject.maps.length, 1);
  subject.a.primary.getFrom(30, 128);
  assert.equal(subject.maps.length, 4);
  assert.deepEqual(subject.unmaps, []);
  subject.a.destroy();
  assert.equal(subject.unmaps.length, 1);
  assert.ok(Number(subject.unmaps[0]) > 2 ** 40);
  assert.equal(subject.space.mapped, 0);
});

test("row 115: chunks come in the order of the array: chunk 127 first, chunk 0 last", () => {
  const subject = original();
  const chunks = indexes(subject, 30, subject.a.primary.getFrom(30, 128));
  assert.deepEqual([chunks[0], chunks[127]], [127, 0]);
  const small = indexes(subject, 1, subject.a.primary.getFrom(1, 128));
  assert.deepEqual([small[0], small[127]], [127, 0]);
  // What was returned last is taken first, and getFrom takes exactly n.
  const again = subject.a.primary.getFrom(30, 3);
  subject.a.primary.returnTo(30, again);
  assert.deepEqual(subject.a.primary.getFrom(30, 3), again);
  assert.equal(statsOf(subject, 30).allocations - statsOf(subject, 30).frees, 131);
});

/** The generator of the specification, written independently. */
function shuffled(count: number, seed: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  let state = BigInt(seed);
  for (let i = count - 1; i > 0; i--) {
    state = (state * 1103515245n + 12345n) % 2n ** 32n;
    const j = Number(state >> 16n) % (i + 1);
    const [x, y] = [order[i] as number, order[j] as number];
    order[i] = y;
    order[j] = x;
  }
  return order;
}

test("row 116: a seed shuffles as the test vectors say; a space at a fixed address has seed 0", () => {
  const vectors: [number, number, number[]][] = [
    [8192, 0, [3, 1, 4, 2, 5, 6, 7, 0]],
    [8192, 1, [2, 0, 1, 4, 7, 3, 5, 6]],
    [4096, 0x12345, [1, 7, 6, 3, 10, 5, 0, 4, 2, 14, 11, 8, 12, 13, 15, 9]],
  ];
  for (const [size, seed, expected] of vectors) {
    assert.deepEqual(shuffled(expected.length, seed), expected);
    const subject = original({ shuffle: true, seed });
    const id = subject.a.primary.map.id(size);
    const got = indexes(subject, id, subject.a.primary.getFrom(id, expected.length));
    // Before shuffling, the array holds the highest chunk first.
    assert.deepEqual(
      got,
      expected.map((place) => expected.length - 1 - place),
    );
  }
  const orders = [1, 2].map(() => {
    const subject = original({ shuffle: true, spaceBegin: 2 ** 45 });
    const id = subject.a.primary.map.id(8192);
    return indexes(subject, id, subject.a.primary.getFrom(id, 8));
  });
  assert.deepEqual(orders[0], orders[1]);
  assert.deepEqual(
    orders[0],
    shuffled(8, 0).map((place) => 7 - place),
  );
});

test("row 116: a space at any address takes its seed from it, and each region has another order", () => {
  const subject = original({ shuffle: true });
  const id = subject.a.primary.map.id(8192);
  const seed = Number((BigInt(subject.a.primary.regionBegin(id)) >> 12n) % 2n ** 32n);
  const got = indexes(subject, id, subject.a.primary.getFrom(id, 8));
  assert.deepEqual(
    got,
    shuffled(8, seed).map((place) => 7 - place),
  );
  // Every batch of new chunks is shuffled separately.
  const second = indexes(subject, id, subject.a.primary.getFrom(id, 8));
  assert.deepEqual(
    second.toSorted((x, y) => x - y),
    [8, 9, 10, 11, 12, 13, 14, 15],
  );
});

test("row 117: each chunk has its own metadata, downwards, and keeps it when it is freed", () => {
  const subject = original({ metadataSize: 16 });
  const { primary } = subject.a;
  for (const size of [16, 48, 1024, 3072]) {
    const id = primary.map.id(size);
    const used: number[] = [];
    for (let round = 0; round < 3; round++) {
      const chunks = primary.getFrom(id, 200).toSorted((x, y) => x - y);
      chunks.forEach((p, i) => {
        const meta = primary.metadata(p);
        const mark = (p - primary.regionBegin(id)) / 16;
        if (round === 0) subject.space.store32(meta, mark);
        else assert.equal(subject.space.load32(meta), mark);
        assert.equal(primary.metadata(p + size - 1), meta, "of an address inside");
        if (i > 0) assert.equal(meta, primary.metadata(chunks[i - 1] as number) - 16 * step(i));
      });
      /** Chunks between this one and the last. */
      function step(i: number): number {
        return ((chunks[i] as number) - (chunks[i - 1] as number)) / size;
      }
      used.push(primary.totalMemoryUsed);
      primary.returnTo(id, chunks.toReversed());
    }
    assert.deepEqual(used, [used[0], used[0], used[0]]);
  }
  assert.ok(primary.isValid());
});

test("row 118: an address in a chunk finds its begin; gap, metadata, array and class 0 do not", () => {
  const { a, space } = original({ metadataSize: 16 });
  const { primary } = a;
  const [p, q] = [a.malloc(1000), a.malloc(1000)];
  for (const at of [p, p + 1, p + 500, p + 1023]) assert.equal(primary.blockBegin(at), p);
  assert.equal(primary.blockBegin(q + 3), q);
  a.free(q);
  assert.equal(primary.blockBegin(q + 3), q, "a free chunk is still found");
  const id = primary.classOf(p);
  const begin = primary.regionBegin(id);
  const array = begin + (primary.regionBytes / 8) * 7;
  for (const at of [begin + 64 * KIB, begin + 2 ** 33, array - 1, array, array + 100]) {
    assert.equal(primary.blockBegin(at), 0, `offset ${at - begin}`);
  }
  assert.equal(primary.blockBegin(primary.spaceBegin + 100), 0, "class 0");
  assert.equal(primary.blockBegin(begin + 60 * primary.regionBytes), 0, "no such class");
  assert.equal(primary.blockBegin(primary.spaceBegin - 1), 0);
  assert.equal(primary.blockBegin(primary.spaceBegin + 2 ** 40), 0);
  assert.equal(primary.metadata(p + 1023), array - 16);
  space.store32(array - 16, 1);
  assert.throws(() => space.load32(begin + 2 ** 33), /nothing is mapped/);
});
