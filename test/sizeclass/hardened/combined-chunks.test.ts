/**
 * Scudo's tests of iteration, sizes, states, releases, statistics, the primary and the secondary.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { simulatedMemory, wasmMemory } from "#src/memory/index.js";
import {
  createHardenedMalloc,
  createSizeClassHeap,
  HardenedError,
  type HardenedMalloc,
  type SizeClassAllocator,
  sparseSpace,
} from "#src/sizeclass/index.js";
import { Random, seedOf } from "../../support/random.js";
import { hardenedSubjects } from "./combined-subjects.js";

/** All blocks of an iteration while the allocator is disabled. */
function iterated(heap: HardenedMalloc): [number, number][] {
  const found: [number, number][] = [];
  assert.equal(heap.disable(), true);
  heap.forEachBlock((ptr, size) => found.push([ptr, size]));
  heap.enable();
  return found.sort(([a], [b]) => a - b);
}

test("IterateOverChunks: an iteration visits each live block once, and no others", (t) => {
  const seed = seedOf(8100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  for (const { name, create } of hardenedSubjects) {
    const heap = create();
    const live = new Map<number, number>();
    for (let i = 0; i < 200; i++) {
      const size = random.below(40_000);
      const ptr = i % 4 === 0 ? heap.memalign(2 ** random.between(4, 14), size) : heap.malloc(size);
      if (random.chance(30)) heap.free(ptr);
      else live.set(ptr, heap.usableSize(ptr));
    }
    assert.deepEqual(
      iterated(heap),
      [...live].sort(([a], [b]) => a - b),
      name,
    );
    const [first = 0, second = 0] = [...live.keys()].sort((a, b) => a - b);
    const some: number[] = [];
    heap.forEachBlock((ptr) => some.push(ptr), first, second - first);
    assert.deepEqual(some, [first], "the end of a range is not in it");
    for (const ptr of live.keys()) heap.free(ptr);
    assert.deepEqual(iterated(heap), []);
  }
});

test("ExactUsableSize: the size of the request, at every alignment, and in iterations", () => {
  const heap = createHardenedMalloc();
  const check = (ptr: number, size: number) => {
    assert.equal(heap.usableSize(ptr), size);
    heap.free(ptr);
  };
  for (let size = 0; size < 10_000; size++) check(heap.malloc(size), size);
  for (const size of [313, 1_000_000]) {
    for (let log = 1; log <= 8; log++) check(heap.memalign(2 ** log, size), size);
  }
  assertIteratedSizes(heap);
});

/** Small, medium and large sizes, with alignments. */
function assertIteratedSizes(heap: HardenedMalloc): void {
  const live = [128, 2000, 8000, 2_000_205].flatMap((size) =>
    [16, 64, 256].map((alignment) => heap.memalign(alignment, size)),
  );
  const sizes = new Map(iterated(heap));
  for (const ptr of live) assert.equal(sizes.get(ptr), heap.usableSize(ptr));
  assert.equal(sizes.size, live.length);
}

test("FullUsableSize: everything from the block to the end of its chunk or its pages", () => {
  const heap = createHardenedMalloc({ exactUsableSize: false });
  for (const alignment of [16, 32, 128, 4096]) {
    for (const size of [0, 1, 15, 16, 17, 100, 1000, 1008, 1009, 5000, 60_000, 996_780]) {
      const ptr = heap.memalign(alignment, size);
      const begin = heap.heap.blockBegin(ptr);
      const usable = heap.usableSize(ptr);
      assert.equal(ptr + usable, begin + heap.heap.usableSize(begin));
      heap.u8.fill(0xff, ptr, ptr + usable);
      heap.freeSize(ptr, usable);
    }
  }
  assert.ok(heap.heap.primary.isValid());
  assertIteratedSizes(heap);
});

test("ReallocUsableSize: realloc keeps all usable bytes", () => {
  const heap = createHardenedMalloc({ exactUsableSize: false });
  const ptr = heap.malloc(1000);
  const usable = heap.usableSize(ptr);
  assert.ok(usable > 1000);
  for (let i = 0; i < usable; i++) heap.u8[ptr + i] = i & 255;
  const to = heap.realloc(ptr, 2 * usable);
  assert.notEqual(to, ptr);
  for (let i = 0; i < usable; i++) assert.equal(heap.u8[to + i], i & 255);
  heap.free(to);
});

test("QuarantineIterateOverChunks: what is in quarantine is not a live block", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 64 });
  for (const size of [128, 128, 256, 256]) heap.free(heap.malloc(size));
  assert.equal(heap.stats().quarantine.blocks, 4);
  assert.deepEqual(iterated(heap), []);
});

/** The code of a mistake. */
function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof HardenedError, `${error}`);
    return error.code;
  }
  return "none";
}

test("DoubleFreeFromPrimary: in every class, and of a large block", () => {
  for (const { name, create } of hardenedSubjects) {
    const heap = create();
    for (let size = 1; size <= 2 ** 20; size *= 2) {
      // Neighbours, so that the region of the chunk is not released.
      const [before, ptr, after] = [heap.malloc(size), heap.malloc(size), heap.malloc(size)];
      heap.free(ptr);
      assert.equal(
        codeOf(() => heap.free(ptr)),
        "ERR_BLOCK_STATE",
        `${name}: ${size} bytes`,
      );
      heap.free(before);
      heap.free(after);
    }
  }
});

test("DeathCombined: a wrong size, misaligned pointers, flipped headers, dead blocks", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create();
    const ptr = heap.malloc(1000);
    assert.equal(
      codeOf(() => heap.freeSize(ptr, 1009)),
      "ERR_SIZE_MISMATCH",
    );
    assert.equal(
      codeOf(() => heap.freeSize(ptr + 1, 1000)),
      "ERR_MISALIGNED_POINTER",
    );
    assert.equal(
      codeOf(() => heap.realloc(ptr + 1, 2000)),
      "ERR_MISALIGNED_POINTER",
    );
    const at = ptr / 4 - 4;
    const first = heap.u32[at] as number;
    for (const flip of [0x42, 0x420042, 0x420000]) {
      heap.u32[at] = first ^ flip;
      assert.equal(
        codeOf(() => heap.freeSize(ptr, 1000)),
        "ERR_CORRUPTED_HEADER",
      );
    }
    heap.u32[at] = first;
    heap.freeSize(ptr, 1000);
    assert.equal(
      codeOf(() => heap.freeSize(ptr, 1000)),
      "ERR_BLOCK_STATE",
    );
    assert.equal(
      codeOf(() => heap.realloc(ptr, 2000)),
      "ERR_BLOCK_STATE",
    );
    assert.equal(
      codeOf(() => heap.usableSize(ptr)),
      "ERR_BLOCK_STATE",
    );
  }
});

test("FullRegion: when the region of a class is full, larger classes serve", () => {
  const small = { spaceSize: 2 ** 22, granule: 4096 };
  for (const backend of ["wasm", "js"] as const) {
    const heap = createHardenedMalloc({ ...small, backend });
    const { map, regionBytes } = heap.heap.primary;
    for (let id = 20; id < map.classes; id += 3) {
      const size = map.size(id) - 64;
      const count = Math.floor(regionBytes / map.size(id)) * (map.classes - id);
      const blocks = Array.from({ length: count }, () => heap.malloc(size));
      assert.ok(
        blocks.every((ptr) => ptr !== 0),
        `class ${id}`,
      );
      assert.equal(new Set(blocks).size, count);
      const classes = new Set(blocks.map((ptr) => heap.heap.primary.classOf(ptr)));
      assert.ok(classes.size > 1 || id === map.classes - 1, `${[...classes]}`);
      for (const ptr of blocks) heap.freeSize(ptr, size);
    }
    heap.drain();
    assert.ok(heap.heap.primary.isValid());
  }
});

/** A memory that counts its pages, in both back ends. */
function releasing(more: object = {}): HardenedMalloc[] {
  return [
    createHardenedMalloc({ memory: simulatedMemory({ source: wasmMemory() }), ...more }),
    createHardenedMalloc({ memory: simulatedMemory(), backend: "js", ...more }),
  ];
}

test("ReleaseToOS: before any allocation, and where nothing can be released", () => {
  for (const { create } of hardenedSubjects) assert.equal(create().releaseToOS(), 0);
  for (const heap of releasing()) {
    // Pages that were mapped for the first chunks and never touched count too.
    for (const bytes of [heap.releaseToOS(), heap.releaseToOS(true)]) {
      assert.ok(bytes % 4096 === 0 && bytes <= 2 ** 17, `${bytes}`);
    }
    assert.ok(heap.heap.primary.isValid());
  }
});

test("ForceFast: freed blocks are released at once, and their memory is used again", () => {
  for (const heap of releasing()) {
    const ptr = heap.malloc(2048);
    heap.u8.fill(0xff, ptr, ptr + 2048);
    heap.free(ptr);
    heap.releaseToOS();
    assert.ok(heap.malloc(2048) !== 0);
    assert.ok(heap.heap.primary.isValid());
  }
});

test("Drain: afterwards the thread's cache is empty", (t) => {
  for (const heap of releasing()) {
    freeSome(heap, t);
    const held = () =>
      heap.heap.primary.stats().reduce((sum, one) => sum + one.allocations - one.frees, 0);
    assert.ok(held() > 1);
    heap.drain();
    assert.equal(held(), 1, "the quarantine's list");
  }
});

/** Blocks of many sizes, allocated and freed: most go to the cache. */
function freeSome(heap: HardenedMalloc, t: TestContext): void {
  const seed = seedOf(8200);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const blocks = Array.from({ length: 64 }, () => heap.malloc(random.below(30_000)));
  for (const ptr of blocks) heap.free(ptr);
}

test("ForceCacheDrain: a release of everything empties the cache and the quarantine first", (t) => {
  for (const heap of releasing({ quarantineSizeKb: 4096, threadLocalQuarantineSizeKb: 1024 })) {
    freeSome(heap, t);
    const before = heap.releaseToOS();
    const released = heap.releaseToOS(true);
    assert.ok(released > before && released > 500_000, `${before}, then ${released} bytes`);
    assert.deepEqual(Object.values(heap.stats().quarantine), [0, 0, 0, 0]);
    const left = heap.heap.primary.stats().map((one) => one.allocations - one.frees);
    assert.equal(
      left.reduce((sum, one) => sum + one),
      1,
      "the quarantine's list",
    );
  }
});

test("Stats: the text has the regions and the large blocks", () => {
  const heap = createHardenedMalloc();
  heap.malloc(100);
  assert.match(heap.printStats(), /^Stats: SizeClassAllocator\d\d: \d+M mapped in \d+ allocations/);
  assert.match(heap.printStats(), /^Stats: LargeMmapAllocator: allocated 0 times/m);
});

test("QuarantineEnabled: its statistics and limits are in the text", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 8, threadLocalQuarantineSizeKb: 1 });
  heap.free(heap.malloc(1000));
  heap.free(heap.malloc(100));
  const text =
    /^Stats: Quarantine: bytes: 1100 \(thread: 0\); chunks: 2 \(thread: 0\)\nQuarantine limits: global: 8K; thread local: 1K$/m;
  assert.match(heap.printStats(), text);
});

test("QuarantineDisabled: it is not mentioned", () => {
  const heap = createHardenedMalloc();
  heap.free(heap.malloc(1000));
  assert.doesNotMatch(heap.printStats(), /Quarantine/);
});

test("ZeroOnDeallocEnabledAndFlag: blocks up to the size are zero when they are freed", () => {
  for (const { create } of hardenedSubjects) {
    for (const quarantineSizeKb of [0, 64]) {
      const heap = create({ zeroOnDeallocMaxSize: 2048, quarantineSizeKb });
      const exact = heap.usableSize(heap.malloc(1)) === 1;
      for (const size of [1, 100, 1000, 2048, 2049, 5000]) {
        const ptr = heap.malloc(size);
        const bytes = exact ? size : heap.usableSize(ptr);
        heap.u8.fill(0x42, ptr, ptr + bytes);
        heap.free(ptr);
        const after = new Set(heap.u8.subarray(ptr, ptr + bytes));
        assert.deepEqual([...after], [bytes <= 2048 ? 0 : 0x42], `${size} bytes`);
      }
    }
  }
});

test("BasicPrimary: batches of the classes from 1 to 64 KiB, in both back ends and beyond 2^32", () => {
  const allocators: SizeClassAllocator[] = [
    createSizeClassHeap(),
    createSizeClassHeap({ backend: "js" }),
    createSizeClassHeap({ space: sparseSpace() }),
  ];
  for (const { primary } of allocators) {
    for (let size = 1; size <= 65536; size *= 2) {
      assert.ok(primary.canAllocate(size));
      const id = primary.map.id(size);
      const chunks = primary.getFrom(id, 32 > primary.regionBytes / size / 2 ? 8 : 32);
      assert.ok(chunks.every((p) => primary.classOf(p) === id && primary.blockBegin(p) === p));
      primary.returnTo(id, chunks);
    }
    assert.ok(primary.isValid());
  }
});

test("Primary64OOM: a class of small regions is exhausted, and everything is returned", () => {
  for (const { create } of hardenedSubjects) {
    const { primary } = create({ spaceSize: 2 ** 26, freeArray: 4 }).heap;
    const id = primary.map.classes - 1;
    const chunks: number[] = [];
    const take = () => {
      for (let i = 0; i < 10_000; i++) chunks.push(...primary.getFrom(id, 1));
    };
    assert.throws(take, { code: "ERR_CLASS_FULL" });
    assert.ok(chunks.length > 3);
    primary.returnTo(id, chunks);
    assert.equal(primary.getFrom(id, chunks.length).length, chunks.length);
  }
});

test("MemoryGroup: blocks that are reused after many frees are close together", () => {
  // Blocks are reused in the order of their frees: a batch freed in address order is dense.
  const { primary } = createSizeClassHeap();
  const id = primary.map.id(32);
  const chunks = primary.getFrom(id, 40_000).sort((p, q) => p - q);
  primary.returnTo(id, chunks);
  const again = primary.getFrom(id, 10_000);
  const spread = Math.max(...again) - Math.min(...again);
  assert.ok(spread <= 2 * 10_000 * 32, `${spread} bytes`);
});

test("AllocatorIterate: large blocks of 0 to 15 pages more than a class has", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create();
    const { sizeLast } = heap.heap.primary.map;
    const blocks = Array.from({ length: 32 }, (_, i) => heap.malloc(sizeLast + (i % 16) * 4096));
    const found = iterated(heap).map(([ptr]) => ptr);
    assert.deepEqual(
      found,
      blocks.sort((p, q) => p - q),
    );
    for (const ptr of blocks) heap.free(ptr);
    assert.equal(heap.heap.stats().large.mappedBytes, 0);
  }
});
