/**
 * The tests that LLVM has for its allocators, by name, each with our test or the reason why there
 * is none; and our tests that belong to no row of the checklist.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createSizeClassHeap, type SizeClassMapName, sparseSpace } from "#src/sizeclass/index.js";

const folder = fileURLToPath(new URL("../../../../test/sizeclass/", import.meta.url));

/** The title of our test, or its begin; a reason begins with "none: ". */
const upstream: Record<string, string> = {
  DefaultSizeClassMap: "row 111",
  CompactSizeClassMap: "row 111",
  VeryCompactSizeClassMap: "row 111",
  InternalSizeClassMap: "custom maps are valid",
  DenseSizeClassMap: "row 111",
  SizeClassAllocator64: "every map: three rounds",
  SizeClassAllocator64Dynamic: "every map: three rounds",
  SizeClassAllocator64DynamicPremapped:
    "none: premapping is for Windows, where a range can be mapped once only; hosts commit here",
  SizeClassAllocator64Compact: "every map: three rounds",
  SizeClassAllocator64Dense: "every map: three rounds",
  SizeClassAllocator64VeryCompact: "every map: three rounds",
  SizeClassAllocator32Compact: "every map: three rounds",
  SizeClassAllocator32SeparateBatches: "free chunks are on no list in chunks",
  SizeClassAllocator64MetadataStress: "metadata stays apart",
  SizeClassAllocator64DynamicMetadataStress: "metadata stays apart",
  SizeClassAllocator64DynamicPremappedMetadataStress: "none: no premapping",
  SizeClassAllocator64CompactMetadataStress: "metadata stays apart",
  SizeClassAllocator32CompactMetadataStress: "metadata stays apart",
  SizeClassAllocator64GetBlockBegin: "every address of a chunk",
  SizeClassAllocator64DynamicGetBlockBegin: "every address of a chunk",
  SizeClassAllocator64DynamicPremappedGetBlockBegin: "none: no premapping",
  SizeClassAllocator64CompactGetBlockBegin: "every address of a chunk",
  SizeClassAllocator64VeryCompactGetBlockBegin: "every address of a chunk",
  SizeClassAllocator32CompactGetBlockBegin: "every address of a chunk",
  SizeClassAllocator64MapUnmapCallback: "row 114",
  SizeClassAllocator32MapUnmapCallback: "a region and its free array are mapped",
  LargeMmapAllocatorMapUnmapCallback: "a large block is one mapping",
  SizeClassAllocator64Overflow: "row 122",
  LargeMmapAllocator: "row 127",
  CombinedAllocator64: "row 126",
  CombinedAllocator64Dynamic: "row 126",
  CombinedAllocator64DynamicPremapped: "none: no premapping",
  CombinedAllocator64Compact: "all maps, combined",
  CombinedAllocator64VeryCompact: "row 126",
  CombinedAllocator32Compact: "all maps, combined",
  SizeClassAllocator64LocalCache: "row 125",
  SizeClassAllocator64DynamicLocalCache: "row 125",
  SizeClassAllocator64DynamicPremappedLocalCache: "none: no premapping",
  SizeClassAllocator64CompactLocalCache: "200 caches",
  SizeClassAllocator64VeryCompactLocalCache: "row 125",
  SizeClassAllocator32CompactLocalCache: "200 caches",
  AllocatorLeakTest: "200 caches",
  AllocatorCacheDeallocNewThread: "row 125: the first operation of a cache",
  "Allocator.Basic": "in random runs",
  "Allocator.Stress": "in random runs",
  "Allocator.LargeAlloc": "row 127",
  "Allocator.ScopedBuffer": "none: memory of one scope; regions of terrane/layers are that",
  SizeClassAllocator64Iteration: "row 124",
  SizeClassAllocator64DynamicIteration: "row 124",
  SizeClassAllocator64DynamicPremappedIteration: "none: no premapping",
  SizeClassAllocator32Iteration: "row 124",
  LargeMmapAllocatorIteration: "row 124",
  LargeMmapAllocatorBlockBegin: "row 127",
  SizeClassAllocator64PopulateFreeListOOM: "no memory for new chunks",
  SizeClassAllocator64PackedCounterArray: "none: a bit for each chunk replaces the counters",
  SizeClassAllocator64FreePagesRangeTracker: "exactly the ranges of free pages",
  SizeClassAllocator64ReleaseFreeMemoryToOS: "every chunk but some",
  SizeClassAllocator64CompactReleaseFreeMemoryToOS: "every chunk but some",
  SizeClassAllocator64VeryCompactReleaseFreeMemoryToOS: "every chunk but some",
  LowLevelAllocatorShouldRoundUpSizeOnAlloc: "none: no such allocator; the control area is fixed",
};

test("each test of LLVM has one of ours, or a reason", () => {
  const titles = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".test.ts"))
    .flatMap((name) => [
      ...readFileSync(folder + name, "utf8").matchAll(/^\s*test\(\s*["`](.*)["`],/gm),
    ])
    .map((match) => (match[1] as string).replace(/^\$\{[\w.]+\}[,:] /, ""));
  assert.ok(Object.keys(upstream).length >= 60);
  for (const [name, ours] of Object.entries(upstream)) {
    const known = ours.startsWith("none: ") || titles.some((title) => title.startsWith(ours));
    assert.ok(known, `${name}: no test begins with "${ours}"`);
  }
});

const maps: SizeClassMapName[] = ["default", "compact", "veryCompact", "dense", "veryDense"];

function wide(map: SizeClassMapName, more: object = {}) {
  const space = sparseSpace();
  return { space, a: createSizeClassHeap({ space, map, ...more }) };
}

/** SizeClassAllocator32: regions on demand. */
function narrow(map: SizeClassMapName, more: object = {}) {
  const a = createSizeClassHeap({ regions: "onDemand", map, ...more });
  const space = {
    load32: (p: number) => a.u32[p / 4] as number,
    store32(p: number, value: number) {
      a.u32[p / 4] = value;
    },
    fill: (p: number, bytes: number, value: number) => void a.u8.fill(value, p, p + bytes),
  };
  return { space, a };
}

const kinds = [
  { name: "64", make: wide },
  { name: "32", make: narrow },
] as const;

for (const kind of kinds) {
  test(`${kind.name}, every map: three rounds of batches of each class, and nothing more is mapped`, () => {
    for (const map of maps) {
      const { a } = kind.make(map);
      const { primary } = a;
      let used = 0;
      for (let round = 0; round < 3; round++) {
        const taken: [number, number[]][] = [];
        for (let id = 1; id < primary.map.classes; id++) {
          const chunks = primary.getFrom(id, primary.map.cachedHint(id) + 3);
          assert.ok(chunks.every((p) => primary.classOf(p) === id && primary.blockBegin(p) === p));
          taken.push([id, chunks]);
        }
        for (const [id, chunks] of taken) primary.returnTo(id, chunks);
        if (round === 0) used = primary.totalMemoryUsed;
      }
      assert.equal(primary.totalMemoryUsed, used);
      assert.ok(primary.isValid());
    }
  });
}

for (const kind of kinds) {
  test(`${kind.name}, metadata stays apart from chunks and from that of others, for every size`, () => {
    for (const map of maps) {
      const { a, space } = kind.make(map, { metadataSize: 16 });
      const marks = new Map<number, number>();
      for (let id = 1; id < a.primary.map.classes; id += 3) {
        for (const p of a.primary.getFrom(id, 40)) {
          space.store32(a.primary.metadata(p) + 12, marks.size);
          space.fill(p, a.primary.map.size(id), 0xff);
          marks.set(p, marks.size);
        }
      }
      for (const [p, mark] of marks) assert.equal(space.load32(a.metadata(p) + 12), mark);
    }
  });
}

for (const kind of kinds) {
  test(`${kind.name}, every address of a chunk leads to its begin, in every class`, () => {
    for (const map of maps) {
      const { a } = kind.make(map);
      for (let id = 1; id < a.primary.map.classes; id++) {
        const size = a.primary.map.size(id);
        for (const p of a.primary.getFrom(id, 5)) {
          for (const at of [0, 1, size >>> 1, size - 1]) {
            assert.equal(a.primary.blockBegin(p + at), p, `${map}, class ${id}, ${at}`);
          }
        }
      }
    }
  });
}

test("a large block is one mapping, which is unmapped with it", () => {
  const events: [string, number][] = [];
  const a = createSizeClassHeap({
    space: sparseSpace(),
    onMap: (_, bytes) => events.push(["map", bytes]),
    onUnmap: (_, bytes) => events.push(["unmap", bytes]),
  });
  events.length = 0;
  const p = a.malloc(2 ** 20);
  assert.deepEqual(events, [["map", 2 ** 20 + 4096]]);
  a.free(p);
  assert.deepEqual(events.slice(1), [["unmap", 2 ** 20 + 4096]]);
});

for (const kind of kinds) {
  test(`${kind.name}, all maps, combined: blocks of all sizes, in place and moved`, () => {
    for (const map of maps) {
      const { a, space } = kind.make(map);
      let p = a.malloc(1);
      space.store32(p, 123);
      for (let size = 4; size < 2 ** 20; size = Math.ceil(size * 1.7)) {
        p = a.realloc(p, size);
        assert.ok(p !== 0 && a.usableSize(p) >= size);
        assert.equal(space.load32(p), 123);
      }
      a.free(p);
      a.drain();
      assert.ok(a.primary.isValid());
    }
  });
}

for (const kind of kinds) {
  test(`${kind.name}, 200 caches, drained one after another, leave the regions as they were`, () => {
    for (const map of ["compact", "veryCompact"] as const) {
      const { a } = kind.make(map);
      let used = 0;
      for (let round = 0; round < 200; round++) {
        const blocks = [10, 500, 3000].flatMap((size) =>
          [0, 1, 2].map(() => a.malloc(size + (round % 50))),
        );
        for (const p of blocks) a.free(p);
        a.drain();
        for (const one of a.primary.stats()) assert.equal(one.allocations, one.frees);
        if (round === 150) used = a.primary.totalMemoryUsed;
      }
      assert.equal(a.primary.totalMemoryUsed, used);
    }
  });
}

test("no memory for new chunks: none is given, and later requests succeed", () => {
  const space = sparseSpace();
  const errors: number[] = [];
  const a = createSizeClassHeap({ space, metadataSize: 16, onError: (code) => errors.push(code) });
  const first = a.primary.getFrom(30, 10);
  const limits = [0, 4096, 65536, 65536 * 7];
  for (const more of limits) {
    space.limit = space.mapped + more;
    assert.throws(() => a.primary.getFrom(30, 500), { code: "ERR_CLASS_FULL" });
    assert.throws(() => a.primary.getFrom(40, 500), { code: "ERR_CLASS_FULL" });
    assert.ok(a.primary.isValid());
  }
  space.limit = space.mapped;
  assert.equal(a.malloc(10_000_000), 0);
  assert.deepEqual(errors, [12]);
  space.limit = 2 ** 53;
  assert.equal(new Set([...first, ...a.primary.getFrom(30, 500)]).size, 510);
  assert.notEqual(a.malloc(10_000_000), 0);
  assert.ok(a.primary.isValid());
});

/** Which of these pages a release releases: x = free, . = live. */
const patterns: [string, [number, number][]][] = [
  [".", []],
  ["x", [[0, 1]]],
  ["..", []],
  [".x", [[1, 2]]],
  ["x.", [[0, 1]]],
  ["xx", [[0, 2]]],
  ["...", []],
  ["..x", [[2, 3]]],
  [".x.", [[1, 2]]],
  [".xx", [[1, 3]]],
  ["x..", [[0, 1]]],
  [
    "x.x",
    [
      [0, 1],
      [2, 3],
    ],
  ],
  ["xx.", [[0, 2]]],
  ["xxx", [[0, 3]]],
  [
    "......xxx.x",
    [
      [6, 9],
      [10, 11],
    ],
  ],
  [
    "xxx.....xxx",
    [
      [0, 3],
      [8, 11],
    ],
  ],
  ["x.x.x.x.x.x", [0, 2, 4, 6, 8, 10].map((i) => [i, i + 1])],
];

test("exactly the ranges of free pages are released, for each pattern", () => {
  for (const [pattern, expected] of patterns) {
    for (const repeat of [0, 32, 40]) {
      const { a, space } = wide("default", { releaseInterval: -1 });
      const id = a.primary.map.id(4096);
      const pages = "x".repeat(repeat) + pattern;
      const chunks = a.primary.getFrom(id, pages.length).toReversed();
      const got: [number, number][] = [];
      const begin = a.primary.regionBegin(id);
      // The rest of the last 64 KiB is free, so that a live last page ends every range.
      const last = chunks[0] === begin ? a.primary.stats()[0]?.freeChunks : 0;
      for (let i = 0; i < (last ?? 0); i++) a.primary.getFrom(id, 1);
      space.release = (address, bytes) => {
        got.push([(address - begin) / 4096, (address + bytes - begin) / 4096]);
      };
      a.primary.returnTo(
        id,
        chunks.toSorted((p, q) => p - q).filter((_, i) => pages[i] === "x"),
      );
      a.primary.releaseAll();
      const moved = expected.map(([from, to]) => [from + repeat, to + repeat]);
      assert.deepEqual(got, repeat === 0 ? moved : joined([[0, repeat], ...moved]), pages);
    }
  }
});

/** Adjacent ranges are one. */
function joined(ranges: number[][]): number[][] {
  const all: number[][] = [];
  for (const [from, to] of ranges as [number, number][]) {
    const before = all.at(-1);
    if (before && before[1] === from) before[1] = to;
    else all.push([from, to]);
  }
  return all;
}

test("every chunk but some: their pages stay, all others are released", () => {
  for (const map of ["default", "compact", "veryCompact"] as const) {
    for (const size of [96, 1024, 1536, 3072, 8192]) {
      const { a, space } = wide(map, { releaseInterval: -1 });
      const id = a.primary.map.id(size);
      const real = a.primary.map.size(id);
      const chunks = a.primary.getFrom(id, Math.ceil(2 ** 20 / real)).toSorted((p, q) => p - q);
      for (const p of chunks) for (let at = 0; at < real; at += 32) space.store32(p + at, 1);
      const kept = chunks.filter((_, i) => i % 97 === 50);
      a.primary.returnTo(
        id,
        chunks.filter((p) => !kept.includes(p)),
      );
      a.primary.releaseAll();
      const pages = new Set(
        kept.flatMap((p) => {
          const first = Math.floor(p / 4096);
          const last = Math.floor((p + real - 1) / 4096);
          return Array.from({ length: last - first + 1 }, (_, i) => first + i);
        }),
      );
      const begin = a.primary.regionBegin(id);
      const mapped = a.primary.stats()[0]?.mappedBytes as number;
      // Less than a page between two kept chunks stays too, and the last remainder.
      const resident = space.resident(begin, mapped) / 4096;
      assert.ok(resident >= pages.size && resident <= pages.size + 1, `${resident}, ${pages.size}`);
      for (const p of kept) assert.equal(space.load32(p), 1);
    }
  }
});
