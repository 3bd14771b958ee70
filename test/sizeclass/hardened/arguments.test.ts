/** Wrong arguments to every call of the hardened malloc, and to those that create one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  attachHardenedMalloc,
  attachSizeClassHeap,
  createHardenedMalloc,
  createSizeClassMap,
  memory64Space,
  parseScudoOptions,
  sparseSpace,
} from "#src/sizeclass/index.js";

type Call = (value: never) => unknown;

const kinds = [null, true, "1", "", 1n, {}, [], () => 1, Symbol("s"), new Date(0)];
const ranges = [Number.NaN, -1, 0.5, 2 ** 32, 2 ** 53, Number.POSITIVE_INFINITY];

/** The text must be ours, not the engine's. */
function refused(name: string, call: Call, value: unknown, kind: ErrorConstructor): void {
  const what = `${name} of ${typeof value} ${typeof value === "symbol" ? "" : String(value)}`;
  assert.throws(
    () => call(value as never),
    (error: Error) => {
      assert.equal(error.constructor.name, kind.name, `${what}: ${error}`);
      assert.match(error.message, / must be |^unknown size-class map /, what);
      return true;
    },
    what,
  );
}

const heap = createHardenedMalloc();
const shared = createHardenedMalloc({ shared: true });

/** Each argument that is a pointer, a size or an alignment. */
const numbers: Record<string, Call> = {
  malloc: (v) => heap.malloc(v),
  "calloc, count": (v) => heap.calloc(v, 1),
  "calloc, size": (v) => heap.calloc(1, v),
  "memalign, alignment": (v) => heap.memalign(v, 8),
  "memalign, size": (v) => heap.memalign(64, v),
  "alignedAlloc, alignment": (v) => heap.alignedAlloc(v, 64),
  "alignedAlloc, size": (v) => heap.alignedAlloc(64, v),
  "posixMemalign, alignment": (v) => heap.posixMemalign(v, 8),
  "posixMemalign, size": (v) => heap.posixMemalign(16, v),
  valloc: (v) => heap.valloc(v),
  pvalloc: (v) => heap.pvalloc(v),
  operatorNew: (v) => heap.operatorNew(v),
  "operatorNew, alignment": (v) => heap.operatorNew(8, false, v),
  operatorDelete: (v) => heap.operatorDelete(v),
  "operatorDelete, size": (v) => heap.operatorDelete(heap.operatorNew(8), v),
  "operatorDelete, alignment": (v) => heap.operatorDelete(heap.operatorNew(8), 8, v),
  operatorDeleteArray: (v) => heap.operatorDeleteArray(v),
  free: (v) => heap.free(v),
  "freeSize, ptr": (v) => heap.freeSize(v, 1),
  "freeSize, size": (v) => heap.freeSize(heap.malloc(1), v),
  "freeSizeAligned, alignment": (v) => heap.freeSizeAligned(heap.malloc(1), 1, v),
  "realloc, ptr": (v) => heap.realloc(v, 1),
  "realloc, size": (v) => heap.realloc(heap.malloc(1), v),
  "reallocate, size": (v) => heap.reallocate(heap.malloc(1), v),
  "reallocarray, ptr": (v) => heap.reallocarray(v, 1, 1),
  "reallocarray, count": (v) => heap.reallocarray(0, v, 1),
  "reallocarray, size": (v) => heap.reallocarray(0, 1, v),
  usableSize: (v) => heap.usableSize(v),
  isOwned: (v) => heap.isOwned(v),
  errorInfo: (v) => heap.errorInfo(v),
  "forEachBlock, from": (v) => heap.forEachBlock(() => {}, v),
};

test("pointers, sizes and alignments: other types, and wrong numbers", () => {
  for (const [name, call] of Object.entries(numbers)) {
    for (const value of kinds) refused(name, call, value, TypeError);
    for (const value of ranges) refused(name, call, value, RangeError);
  }
  assert.ok(heap.isOwned(heap.malloc(-0)), "-0 is 0");
  heap.free(-0);
});

test("calls with arguments that are not numbers", () => {
  const others: Record<string, [Call, allowed: string]> = {
    "forEachBlock, visit": [(v) => heap.forEachBlock(v), "function"],
    "operatorNew, array": [(v) => heap.operatorNew(8, v), "boolean"],
    releaseToOS: [(v) => heap.releaseToOS(v), "boolean"],
    trackAllocationStacks: [(v) => Reflect.set(heap, "trackAllocationStacks", v), "boolean"],
    startWorker: [(v) => shared.startWorker(v), "function"],
    "parseScudoOptions, onUnknown": [(v) => parseScudoOptions("zzz=1", v), "function"],
  };
  for (const [name, [call, allowed]] of Object.entries(others)) {
    const wrong = [...kinds, ...ranges].filter((value) => typeof value !== allowed);
    for (const value of wrong) refused(name, call, value, TypeError);
  }
  for (const value of ["1", true, 1n]) {
    const call: Call = (bytes) => heap.forEachBlock(() => {}, 0, bytes);
    refused("forEachBlock, bytes", call, value, TypeError);
    refused("forEachBlock, bytes", call, -1, RangeError);
    refused("recover", (v) => shared.recover(v), value, TypeError);
  }
});

/** Options of whole numbers. */
const counts = [
  ...["quarantineSizeKb", "threadLocalQuarantineSizeKb", "quarantineMaxChunkSize"],
  ...["zeroOnDeallocMaxSize", "allocationRingBufferSize", "maximum", "spaceSize", "metadataSize"],
  ...["granule", "pageSize", "freeArray", "seed", "threads"],
];
const booleans = [
  ...["deallocTypeMismatch", "deleteSizeMismatch", "deallocAlignMismatch", "zeroContents"],
  ...[
    "patternFillContents",
    "exactUsableSize",
    "mayReturnNull",
    "shuffle",
    "releaseLast",
    "shared",
  ],
];
const functions = [
  ...["onAllocate", "onDeallocate", "onError", "onExhausted", "onMap", "onUnmap", "now"],
];

test("options: other types, numbers out of range, and undefined", () => {
  const call = (name: string): Call => {
    return (value) => createHardenedMalloc({ [name]: value });
  };
  for (const name of counts) {
    for (const value of kinds) refused(name, call(name), value, TypeError);
    for (const value of [Number.NaN, -1, 0.5, 2 ** 53]) {
      refused(name, call(name), value, RangeError);
    }
  }
  for (const [names, kind] of [
    [booleans, "boolean"],
    [functions, "function"],
  ] as const) {
    const wrong = [...kinds, ...ranges].filter((value) => typeof value !== kind);
    for (const name of names) {
      for (const value of wrong) refused(name, call(name), value, TypeError);
    }
  }
  const all = [...counts, ...booleans, ...functions, "memory", "map", "backend", "release"];
  const unset = Object.fromEntries(all.map((name) => [name, undefined]));
  createHardenedMalloc(unset).malloc(1);
  for (const value of [null, 1, {}, [], "memory", new Date(0)]) {
    refused("memory", call("memory"), value, TypeError);
  }
});

test("creation: wrong maps, options and handles", () => {
  for (const value of [null, 1, true, 1n, () => 1, Symbol("s")]) {
    refused("createSizeClassMap", createSizeClassMap, value, TypeError);
    refused("createHardenedMalloc", createHardenedMalloc, value === null ? 5 : value, TypeError);
    refused("sparseSpace", sparseSpace, value, TypeError);
    refused("memory64Space", memory64Space, value, TypeError);
  }
  const handles: [string, Call][] = [
    ["attachSizeClassHeap", attachSizeClassHeap],
    ["attachHardenedMalloc", attachHardenedMalloc],
  ];
  for (const [name, attach] of handles) {
    for (const value of [undefined, ...kinds]) {
      assert.throws(
        () => attach(value as never),
        /^TypeError: handle must come from handle\(\) of a /,
        name,
      );
    }
  }
  for (const name of ["toString", "__proto__", "Default", ""]) {
    assert.throws(
      () => createSizeClassMap(name as never),
      /^RangeError: unknown size-class map .*; known: /,
    );
  }
  const good = { bits: 3, minLog: 4, midLog: 8, maxLog: 17, cachedHint: 128, bytesCachedLog: 16 };
  for (const name of Object.keys(good)) {
    const call: Call = (value) => createSizeClassMap({ ...good, [name]: value });
    for (const value of [undefined, ...kinds]) refused(name, call, value, TypeError);
    for (const value of ranges) refused(name, call, value, RangeError);
  }
  for (const [name, value] of [
    ["begin", 100],
    ["begin", -4096],
    ["limit", 0.5],
    ["limit", 2 ** 54],
  ] as const) {
    refused(name, (v) => sparseSpace({ [name]: v }), value, RangeError);
    refused(name, (v) => sparseSpace({ [name]: v }), "1", TypeError);
  }
  refused("maximum", (v) => memory64Space({ maximum: v }), "1", TypeError);
  refused("maximum", (v) => memory64Space({ maximum: v }), 1e6, RangeError);
});
