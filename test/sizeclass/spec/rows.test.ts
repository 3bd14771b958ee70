/** Rows 111 to 123 of the checklist: regions with the original constants, over sparse addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createSizeClassHeap,
  createSizeClassMap,
  type SizeClassAllocator,
  SizeClassError,
  type SizeClassMapName,
  type SizeClassOptions,
  type SparseSpace,
  sizeClassMaps,
  sparseSpace,
} from "#src/sizeclass/index.js";

const KIB = 1024;

interface Subject {
  a: SizeClassAllocator;
  space: SparseSpace;
  /** Ranges that were released, as offsets in their region: [class, from, to]. */
  released: [number, number, number][];
  maps: number[];
  unmaps: number[];
}

/** 2^40 bytes of space, 64 regions of 16 GiB. */
function original(options: SizeClassOptions = {}): Subject {
  const space = sparseSpace();
  const subject: Subject = {
    space,
    released: [],
    maps: [],
    unmaps: [],
    a: undefined as unknown as SizeClassAllocator,
  };
  const release = space.release.bind(space);
  space.release = (address, bytes) => {
    const id = subject.a.primary.classOf(address);
    const from = id === 0 ? 0 : address - subject.a.primary.regionBegin(id);
    if (id !== 0) subject.released.push([id, from, from + bytes]);
    release(address, bytes);
  };
  subject.a = createSizeClassHeap({
    space,
    onMap: (_, bytes) => subject.maps.push(bytes),
    onUnmap: (_, bytes) => subject.unmaps.push(bytes),
    ...options,
  });
  return subject;
}

function statsOf({ a }: Subject, id: number) {
  const one = a.primary.stats().find((each) => each.id === id);
  assert.ok(one, `class ${id} has nothing mapped`);
  return one;
}

/** Offsets of chunks, in chunks. */
function indexes({ a }: Subject, id: number, chunks: readonly number[]): number[] {
  return chunks.map((p) => (p - a.primary.regionBegin(id)) / a.primary.map.size(id));
}

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

test("row 119: too little is free: nothing is released, and no time is taken", () => {
  let asked = 0;
  const subject = original({ releaseInterval: 0, now: () => ++asked });
  const chunks = subject.a.primary.getFrom(24, 64);
  subject.a.primary.returnTo(24, chunks.slice(0, 3)); // 3 KiB
  assert.deepEqual([subject.released.length, asked], [0, 0]);
  subject.a.primary.returnTo(24, chunks.slice(3, 4));
  assert.deepEqual([statsOf(subject, 24).releases, asked], [1, 1]);
});

test("row 119: too little was freed since the last release", () => {
  let asked = 0;
  const subject = original({ releaseInterval: 0, now: () => ++asked });
  const chunks = subject.a.primary.getFrom(24, 64);
  subject.a.primary.returnTo(24, chunks.slice(0, 32));
  assert.equal(asked, 1);
  for (const p of chunks.slice(32, 35)) subject.a.primary.returnTo(24, [p]);
  assert.equal(asked, 1);
  subject.a.primary.returnTo(24, chunks.slice(35, 36));
  assert.equal(asked, 2);
});

test("row 119: an interval of -1 never releases, and can be set later", () => {
  let asked = 0;
  const subject = original({ releaseInterval: -1, now: () => ++asked });
  const { primary } = subject.a;
  primary.returnTo(24, primary.getFrom(24, 64));
  assert.deepEqual([asked, statsOf(subject, 24).releases, primary.releaseInterval], [0, 0, -1]);
  primary.releaseInterval = 0;
  primary.returnTo(24, primary.getFrom(24, 1));
  assert.deepEqual([asked, statsOf(subject, 24).releases, primary.releaseInterval], [1, 1, 0]);
});

test("row 119: nothing is released within the interval, which begins even if nothing is found", () => {
  let now = 1000;
  const subject = original({ releaseInterval: 500, now: () => now });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64).toSorted((x, y) => x - y);
  // Every other chunk: a page of bytes, but no whole page.
  primary.returnTo(
    24,
    chunks.filter((_, i) => i % 2 === 0),
  );
  assert.equal(statsOf(subject, 24).releases, 0);
  now = 1499;
  const odd = chunks.filter((_, i) => i % 2 === 1);
  primary.returnTo(24, odd.slice(0, 16));
  assert.equal(statsOf(subject, 24).releases, 0);
  now = 1500;
  primary.returnTo(24, odd.slice(16));
  assert.equal(statsOf(subject, 24).releases, 1);
});

test("row 120: the original releases [0, 32768) and never the last range", () => {
  const subject = original({ releaseInterval: 0, releaseLast: false });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64).toSorted((x, y) => x - y);
  primary.returnTo(24, [...chunks.slice(0, 32), ...chunks.slice(33)]);
  assert.deepEqual(subject.released, [[24, 0, 32768]]);
  assert.equal(statsOf(subject, 24).releases, 1);
  const all = original({ releaseInterval: 0, releaseLast: false });
  all.a.primary.returnTo(24, all.a.primary.getFrom(24, 64));
  assert.deepEqual(all.released, []);
});

test("row 120: here the last range is released too", () => {
  const subject = original({ releaseInterval: 0 });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64).toSorted((x, y) => x - y);
  for (const p of chunks) subject.space.store32(p, 1);
  const before = subject.space.touched;
  primary.returnTo(24, [...chunks.slice(0, 32), ...chunks.slice(33)]);
  // 33 * 1024 is inside a page, so the second range begins with the next one.
  assert.deepEqual(subject.released, [
    [24, 0, 32768],
    [24, 36864, 65536],
  ]);
  assert.equal(statsOf(subject, 24).releases, 2);
  assert.equal(statsOf(subject, 24).releasedBytes, 32768 + 28672);
  assert.ok(subject.space.touched < before);
  // Sorted: the next allocations have the highest addresses.
  assert.deepEqual(primary.getFrom(24, 2), [chunks[62], chunks[63]]);
  assert.ok(primary.isValid());
});

test("row 121: a chunk that was freed twice is found by the next release, and is free once then", () => {
  const subject = original({ releaseInterval: -1 });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64);
  const twice = chunks[5] as number;
  primary.returnTo(24, chunks.slice(0, 32));
  primary.returnTo(24, [twice]);
  assert.equal(statsOf(subject, 24).freeChunks, 33);
  primary.releaseInterval = 0;
  assert.throws(
    () => primary.returnTo(24, chunks.slice(32)),
    (error: SizeClassError) => {
      assert.ok(error instanceof SizeClassError);
      assert.deepEqual([error.code, error.ptr], ["ERR_DOUBLE_FREE", twice]);
      assert.equal(
        error.message,
        `the chunk of 1024 bytes at 0x${twice.toString(16)} was freed twice`,
      );
      return true;
    },
  );
  assert.equal(statsOf(subject, 24).freeChunks, 64);
  assert.equal(new Set(primary.getFrom(24, 64)).size, 64);
});

test("row 122: a full region is reported before anything is mapped, with its MB and its size", () => {
  const subject = original();
  const { primary } = subject.a;
  const most = ((2 ** 34 / 8) * 7) / 131072;
  const before = subject.maps.length;
  assert.throws(
    () => primary.getFrom(52, most + 1),
    (error: SizeClassError) => {
      assert.equal(error.code, "ERR_CLASS_FULL");
      assert.equal(
        error.message,
        "Out of memory. The process has exhausted 16384MB for size class 131072.",
      );
      return true;
    },
  );
  assert.equal(subject.maps.length, before);
  assert.equal(primary.stats().length, 0);
  assert.equal(primary.getFrom(52, 3).length, 3);
});

test("row 122: malloc reports a full region once, and larger classes serve", () => {
  const texts: string[] = [];
  const heap = createSizeClassHeap({
    spaceSize: 2 ** 22,
    granule: 4096,
    onExhausted: (error) => texts.push(error.message),
  });
  const region = 2 ** 17;
  const last = heap.primary.map.id(32);
  const blocks: number[] = [];
  while (texts.length === 0) blocks.push(heap.malloc(32));
  assert.deepEqual(texts, ["Out of memory. The process has exhausted 0MB for size class 32."]);
  assert.equal(blocks.length, (region / 8 / 32) * 7 + 1);
  assert.ok(blocks.slice(0, -1).every((p) => heap.primary.classOf(p) === last));
  assert.equal(heap.primary.classOf(blocks.at(-1) as number), last + 1);
  for (let i = 0; i < 100; i++) blocks.push(heap.malloc(32));
  assert.equal(texts.length, 1);
  assert.equal(new Set(blocks).size, blocks.length);
  for (const p of blocks) heap.free(p);
  assert.ok(heap.primary.isValid());
});

test("row 123: the lines of class 30 after 128 chunks", () => {
  const subject = original();
  subject.a.primary.getFrom(30, 128);
  const [head, line, end] = subject.a.primary.printStats().split("\n");
  assert.equal(head, "Stats: SizeClassAllocator64: 0M mapped in 128 allocations; remains 128");
  assert.equal(
    line,
    "  30 (3072): mapped: 384K allocs: 128 frees: 0 inuse: 128 num_freed_chunks 0 avail: 128 " +
      "rss: 0K releases: 0",
  );
  assert.equal(end, "");
});
