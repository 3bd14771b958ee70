/** Every call that a heap has, checked: results, contents, alignment, and reports of mistakes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugAllocator, type DebugOptions, debug, type Report } from "#src/debug/index.js";
import { methodRows } from "#src/heap/calls/table.js";
import { createAbi, createHeap, HeapError } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { Random, seedOf } from "../../support/random.js";

function watched(
  options: DebugOptions = {},
  below: DebugOptions["backingAllocator"] = createHeap(),
) {
  const reports: Report[] = [];
  const debugged = debug(below, {
    stackTraceFrames: 2,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { debugged, reports, messages: () => reports.splice(0).map(({ message }) => message) };
}

/** What a heap has besides the calls about blocks; what is about its memory stays its own. */
const BESIDES = [
  ...["newHeap", "backingHeap", "defaultHeap", "setDefaultHeap", "knows", "registerError"],
  ...["registerDeferredFree", "collect", "buffer", "memory", "source", "view", "allocArray"],
  ...["allocString", "readString", "stats", "visitBlocks", "destroy", "i8", "u8", "u8c", "i16"],
  ...["u16", "i32", "u32", "f32", "f64", "i64", "u64"],
];

test("every call of a heap is a call of a debug allocator, also under C's names", () => {
  const { debugged } = watched();
  const heap = createHeap();
  const calls = methodRows.map(([name]) => name);
  assert.ok(calls.length > 50 && BESIDES.every((name) => name in heap));
  assert.deepEqual(
    [...calls, ...BESIDES].filter((name) => !(name in debugged)),
    [],
  );
  // What only mimalloc's own name has is about the process.
  assert.equal(createAbi(debugged), debugged.abi);
  const names = Object.keys(createAbi(heap)).filter((name) => !name.startsWith("mi_"));
  assert.ok(
    names.length > 100 && names.every((name) => `mi_${name}` in debugged.abi || /^_Z/.test(name)),
  );
  assert.deepEqual(
    names.filter((name) => !(name in debugged.abi)),
    [],
  );
  const side = [...calls, "collect", "contains", "checkOwned", "visitBlocks", "destroy"];
  const [scratch, watchedScratch] = [heap.newHeap(), debugged.newHeap()];
  assert.ok(side.every((name) => name in scratch));
  assert.deepEqual(
    side.filter((name) => !(name in watchedScratch)),
    [],
  );
});

interface Made {
  ptr: number;
  size: number;
  alignment: number;
  offset: number;
  zero: boolean;
}

/** Calls that make a block of `size` bytes, in units of which there are `count`. */
function makers(debugged: DebugAllocator, unsigned: (n: number) => number, abi: boolean) {
  const { abi: c } = debugged;
  const call = (name: string, ...args: number[]) => unsigned(c[name]?.(...args) as number);
  type Maker = (size: number, alignment: number, offset: number) => Partial<Made>;
  const typed: Record<string, Maker> = {
    malloc: (n) => ({ ptr: debugged.malloc(n) }),
    mallocn: (n) => ({ ptr: debugged.mallocn(1, n) }),
    calloc: (n) => ({ ptr: debugged.calloc(n, 1), zero: true }),
    zalloc: (n) => ({ ptr: debugged.zalloc(n), zero: true }),
    realloc: (n) => ({ ptr: debugged.realloc(0, n) }),
    rezalloc: (n) => ({ ptr: debugged.rezalloc(0, n), zero: true }),
    new: (n) => ({ ptr: debugged.new(n) }),
    newN: (n) => ({ ptr: debugged.newN(n, 1) }),
    newNothrow: (n) => ({ ptr: debugged.newNothrow(n) }),
    newRealloc: (n) => ({ ptr: debugged.newRealloc(0, n) }),
    valloc: (n) => ({ ptr: debugged.valloc(n), alignment: 4096 }),
    pvalloc: (n) => ({
      ptr: debugged.pvalloc(n),
      alignment: 4096,
      size: Math.ceil(n / 4096) * 4096,
    }),
    memalign: (n, alignment) => ({ ptr: debugged.memalign(alignment, n), alignment }),
    alignedAlloc: (n, alignment) => ({ ptr: debugged.alignedAlloc(alignment, n), alignment }),
    memalignAt: (n, alignment, offset) => ({
      ptr: debugged.memalignAt(alignment, n, offset),
      alignment,
      offset,
    }),
    mallocAligned: (n, alignment) => ({ ptr: debugged.mallocAligned(n, alignment), alignment }),
    zallocAligned: (n, alignment) => ({
      ptr: debugged.zallocAligned(n, alignment),
      alignment,
      zero: true,
    }),
    zallocAlignedAt: (n, alignment, offset) => ({
      ptr: debugged.zallocAlignedAt(n, alignment, offset),
      alignment,
      offset,
      zero: true,
    }),
    callocAlignedAt: (n, alignment, offset) => ({
      ptr: debugged.callocAlignedAt(1, n, alignment, offset),
      alignment,
      offset,
      zero: true,
    }),
    newAligned: (n, alignment) => ({ ptr: debugged.newAligned(n, alignment), alignment }),
  };
  const foreign: Record<string, Maker> = {
    mi_malloc: (n) => ({ ptr: call("mi_malloc", n) }),
    malloc_small: (n) => ({ ptr: call("malloc_small", n) }),
    calloc: (n) => ({ ptr: call("calloc", n, 1), zero: true }),
    _Znwm: (n) => ({ ptr: call("_Znwm", n) }),
    _ZnwjSt11align_val_t: (n, alignment) => ({
      ptr: call("_ZnwjSt11align_val_t", n, alignment),
      alignment,
    }),
    mi_malloc_aligned_at: (n, alignment, offset) => ({
      ptr: call("mi_malloc_aligned_at", n, alignment, offset),
      alignment,
      offset,
    }),
    mi_calloc_aligned: (n, alignment) => ({
      ptr: call("mi_calloc_aligned", n, 1, alignment),
      alignment,
      zero: true,
    }),
    valloc: (n) => ({ ptr: call("valloc", n), alignment: 4096 }),
    heap_malloc: (n) => ({ ptr: call("heap_malloc", debugged.backingHeap.id, n) }),
    heap_zalloc_aligned_at: (n, alignment, offset) => ({
      ptr: call("heap_zalloc_aligned_at", debugged.backingHeap.id, n, alignment, offset),
      alignment,
      offset,
      zero: true,
    }),
  };
  return Object.values(abi ? foreign : typed);
}

/** A resize of a block, and what it promises of its place. */
function resizers(debugged: DebugAllocator) {
  type Resizer = (
    made: Made,
    size: number,
    alignment: number,
    offset: number,
  ) => { ptr: number; alignment: number; offset: number };
  const same: Record<string, (ptr: number, size: number) => number> = {
    realloc: (ptr, n) => debugged.realloc(ptr, n),
    reallocn: (ptr, n) => debugged.reallocn(ptr, n, 1),
    reallocarray: (ptr, n) => debugged.reallocarray(ptr, 1, n),
    reallocf: (ptr, n) => debugged.reallocf(ptr, n),
    rezalloc: (ptr, n) => debugged.rezalloc(ptr, n),
    recalloc: (ptr, n) => debugged.recalloc(ptr, 1, n),
    newRealloc: (ptr, n) => debugged.newRealloc(ptr, n),
    newReallocn: (ptr, n) => debugged.newReallocn(ptr, 1, n),
    mi_realloc: (ptr, n) => (debugged.abi.mi_realloc?.(ptr, n) as number) >>> 0,
    expand: (ptr, n) => debugged.expand(ptr, n) || debugged.realloc(ptr, n),
    reallocSized: (ptr, n) => debugged.reallocSized(ptr, debugged.usableSize(ptr), n),
  };
  const placed: Resizer[] = [
    ({ ptr }, n, alignment, offset) => ({
      ptr: debugged.reallocAlignedAt(ptr, n, alignment, offset),
      alignment,
      offset,
    }),
    ({ ptr }, n, alignment, offset) => ({
      ptr: debugged.rezallocAlignedAt(ptr, n, alignment, offset),
      alignment,
      offset,
    }),
    ({ ptr }, n, alignment) => ({
      ptr: debugged.reallocAligned(ptr, n, alignment),
      alignment,
      offset: 0,
    }),
    ({ ptr }, n, alignment, offset) => ({
      ptr: debugged.recallocAlignedAt(ptr, n, 1, alignment, offset),
      alignment,
      offset,
    }),
  ];
  const others = Object.values(same).map(
    (call): Resizer =>
      ({ ptr, alignment, offset }, n) => ({ ptr: call(ptr, n), alignment, offset }),
  );
  return [...others, ...placed];
}

const backings: [string, () => DebugOptions["backingAllocator"], DebugOptions][] = [
  ["a heap", () => createHeap(), {}],
  ["a JavaScript heap", () => createHeap({ backend: javascript }), { pageSize: 4096 }],
  ["a composition", () => createAllocator(pipe(std(createHeap()), segregated())), {}],
  ["a pool", () => pipe(std(createHeap()), segregated()), {}],
];

for (const [name, below, options] of backings) {
  test(`over ${name}: random runs of the whole family keep places and contents`, (t) => {
    const seed = seedOf(9700);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const { debugged, reports } = watched({ ...options, quarantine: 100_000 }, below());
    const make = [
      ...makers(debugged, (n) => n >>> 0, false),
      ...makers(debugged, (n) => n >>> 0, true),
    ];
    const resize = resizers(debugged);
    const live: Made[] = [];
    const fill = ({ ptr, size }: Made) => debugged.u8.fill((ptr / 2) & 255, ptr, ptr + size);
    const checkPlace = ({ ptr, size, alignment, offset }: Made) => {
      assert.notEqual(ptr, 0);
      assert.equal((ptr + offset) % alignment, 0);
      assert.equal(debugged.usableSize(ptr), size);
    };
    for (let i = 0; i < 3000; i++) {
      const size = random.skewed(1, random.chance(10) ? 40_000 : 900);
      const alignment = 2 ** random.between(0, 12);
      const offset = random.chance(50) ? random.below(300) : 0;
      if (live.length > 0 && random.chance(60)) {
        const at = random.below(live.length);
        const block = live[at] as Made;
        if (random.chance(60)) {
          debugged.freeSize(block.ptr, block.size);
          live.splice(at, 1);
          continue;
        }
        const kept = (block.ptr / 2) & 255;
        const place = resize[random.below(resize.length)]?.(block, size, alignment, offset);
        const bytes = debugged.u8.subarray(
          place?.ptr,
          (place?.ptr ?? 0) + Math.min(size, block.size),
        );
        assert.ok(bytes.every((byte) => byte === kept));
        Object.assign(block, place, { size });
        checkPlace(block);
        fill(block);
        continue;
      }
      const made = make[random.below(make.length)]?.(size, alignment, offset);
      const block = { ptr: 0, size, alignment: 1, offset: 0, zero: false, ...made };
      checkPlace(block);
      if (block.zero) {
        const bytes = debugged.u8.subarray(block.ptr, block.ptr + size);
        assert.ok(bytes.every((byte) => byte === 0));
      }
      fill(block);
      live.push(block);
      if (i % 500 === 0) debugged.check();
    }
    for (const { ptr } of live) debugged.free(ptr);
    assert.equal(debugged.destroy(), "ok");
    assert.deepEqual(reports.map(String), []);
  });
}

test("frees that name a size or an alignment are compared with the request", () => {
  const { debugged, messages } = watched();
  const at = (ptr: number) => `0x${ptr.toString(16)}`;
  const calls: [call: string, alignment: number, free: (ptr: number) => unknown, says: string][] = [
    ["freeSize", 0, (ptr) => debugged.freeSize(ptr, 101), "a size of 101"],
    ["freeSizeAligned", 64, (ptr) => debugged.freeSizeAligned(ptr, 99, 64), "a size of 99"],
    ["freeSizeAligned", 64, (ptr) => debugged.freeSizeAligned(ptr, 100, 32), "an alignment of 32"],
    ["freeAligned", 64, (ptr) => debugged.freeAligned(ptr, 16), "an alignment of 16"],
    ["freeAligned", 0, (ptr) => debugged.freeAligned(ptr, 64), "an alignment of 64"],
    ["free_size", 0, (ptr) => debugged.abi.free_size?.(ptr, 1), "a size of 1"],
    ["free_sized", 0, (ptr) => debugged.abi.free_sized(ptr, 2), "a size of 2"],
    [
      "free_size_aligned",
      64,
      (ptr) => debugged.abi.mi_free_size_aligned?.(ptr, 3, 64),
      "a size of 3",
    ],
    [
      "free_aligned_sized",
      64,
      (ptr) => debugged.abi.free_aligned_sized(ptr, 32, 100),
      "an alignment of 32",
    ],
    ["operator delete", 0, (ptr) => debugged.abi._ZdlPvm?.(ptr, 4), "a size of 4"],
    ["operator delete[]", 0, (ptr) => debugged.abi._ZdaPvj?.(ptr, 5), "a size of 5"],
    [
      "operator delete",
      64,
      (ptr) => debugged.abi._ZdlPvSt11align_val_t?.(ptr, 8),
      "an alignment of 8",
    ],
    [
      "operator delete[]",
      64,
      (ptr) => debugged.abi._ZdaPvmSt11align_val_t?.(ptr, 6, 64),
      "a size of 6",
    ],
  ];
  for (const size of [100, 5000]) {
    for (const [call, alignment, free, says] of calls) {
      const ptr = alignment ? debugged.memalign(alignment, size) : debugged.malloc(size);
      free(ptr);
      const placed = says.includes("alignment") ? `, aligned to ${alignment || 16},` : "";
      const given = messages();
      // Sizes above are of a block of 100: one of another size is said to be that too.
      const wrong = `${call} of the block of ${size} bytes at ${at(ptr)}${placed} with ${says}`;
      assert.ok(given.includes(wrong), `${given} has not ${wrong}`);
      assert.ok(given.length === 1 || size === 5000);
      free(ptr);
      assert.deepEqual(messages(), [`double free of the block of ${size} bytes at ${at(ptr)}`]);
    }
  }
  assert.equal(debugged.destroy(), "ok");
});

test("right sizes and alignments say nothing", () => {
  const { debugged, reports } = watched();
  debugged.freeSize(debugged.malloc(7), 7);
  debugged.freeSizeAligned(debugged.newAligned(9, 128), 9, 128);
  debugged.freeAligned(debugged.memalignAt(32, 100, 8), 32);
  debugged.freeSizeAligned(debugged.malloc(9), 9, 16);
  debugged.freeSize(debugged.calloc(3, 5), 15);
  debugged.freeSize(debugged.expand(debugged.malloc(100), 60), 60);
  debugged.freeSize(0, 5);
  debugged.freeAligned(0, 8);
  debugged.freeSizeAligned(0, 5, 8);
  debugged.abi._ZdlPvm?.(debugged.abi._Znwm?.(24) as number, 24);
  debugged.abi._ZdaPvRKSt9nothrow_t?.(debugged.abi._ZnamRKSt9nothrow_t?.(24, 1) as number, 1);
  assert.equal(debugged.destroy(), "ok");
  assert.deepEqual(reports, []);
});

test("resizing calls report what is wrong with a pointer, and free nothing", () => {
  const { debugged, messages } = watched();
  const calls: [string, (ptr: number) => unknown][] = [
    ["reallocn", (ptr) => debugged.reallocn(ptr, 1, 5)],
    ["reallocarray", (ptr) => debugged.reallocarray(ptr, 1, 5)],
    ["reallocf", (ptr) => debugged.reallocf(ptr, 5)],
    ["rezalloc", (ptr) => debugged.rezalloc(ptr, 5)],
    ["recalloc", (ptr) => debugged.recalloc(ptr, 1, 5)],
    ["expand", (ptr) => debugged.expand(ptr, 5)],
    ["reallocAligned", (ptr) => debugged.reallocAligned(ptr, 5, 64)],
    ["reallocAlignedAt", (ptr) => debugged.reallocAlignedAt(ptr, 5, 64, 8)],
    ["rezallocAligned", (ptr) => debugged.rezallocAligned(ptr, 5, 64)],
    ["rezallocAlignedAt", (ptr) => debugged.rezallocAlignedAt(ptr, 5, 64, 8)],
    ["recallocAligned", (ptr) => debugged.recallocAligned(ptr, 1, 5, 64)],
    ["recallocAlignedAt", (ptr) => debugged.recallocAlignedAt(ptr, 1, 5, 64, 8)],
    ["mallocSize", (ptr) => debugged.mallocSize(ptr)],
    ["realloc_aligned", (ptr) => debugged.abi.mi_realloc_aligned?.(ptr, 5, 64)],
    ["heap_realloc", (ptr) => debugged.abi.heap_realloc?.(debugged.backingHeap.id, ptr, 5)],
    ["malloc_size", (ptr) => debugged.abi.malloc_size?.(ptr)],
  ];
  for (const [call, use] of calls) {
    const ptr = debugged.malloc(100);
    assert.equal(use(ptr + 16), 0);
    const text = `0x${ptr.toString(16)}`;
    assert.deepEqual(messages(), [
      `${call} of 0x${(ptr + 16).toString(16)}, 16 bytes into the block of 100 bytes at ${text}`,
    ]);
    debugged.free(ptr);
    assert.equal(use(ptr), 0);
    assert.deepEqual(messages(), [
      `${call} of the block of 100 bytes at ${text} after it was freed`,
    ]);
  }
  const at = debugged.malloc(4);
  const ptr = debugged.malloc(100);
  debugged.u32[at / 4] = ptr;
  assert.equal(debugged.reallocarr(at, 30, 10), 0);
  const moved = debugged.u32[at / 4] as number;
  assert.equal(debugged.usableSize(moved), 300);
  assert.equal(debugged.reallocarr(at, 2 ** 20, 2 ** 20), 12);
  assert.equal(debugged.reallocarr(0, 1, 1), 22);
  assert.equal(debugged.reallocn(moved, 2 ** 20, 2 ** 20), 0);
  assert.equal(debugged.reallocf(0, 0) !== 0, true);
  debugged.free(moved);
  assert.equal(debugged.reallocarr(at, 1, 1), 12);
  assert.deepEqual(
    messages().map((message) => message.split(" ")[0]),
    ["reallocarr"],
  );
});

test("reallocf frees what it cannot resize, and expand never moves", () => {
  const { debugged, reports } = watched({}, createHeap({ maximum: 2 ** 20 }));
  const ptr = debugged.malloc(100);
  assert.equal(debugged.reallocf(ptr, 2 ** 22), 0);
  assert.equal(debugged.stats().blocks, 0);
  const block = debugged.malloc(100);
  assert.equal(debugged.expand(block, 1000), 0);
  assert.equal(debugged.usableSize(block), 100);
  assert.equal(debugged.expand(block, 104), block);
  assert.equal(debugged.usableSize(block), 104);
  assert.equal(debugged.expand(block, 1), block);
  assert.equal(debugged.expand(0, 1), 0);
  debugged.u8[block + 1] = 7;
  assert.notEqual(debugged.rezalloc(block, 0), 0);
  assert.equal(reports.map(({ code }) => code).join(), "ERR_HEAP_OVERFLOW");
});

test("rezalloc and recalloc clear what grows, in place and moving", () => {
  const { debugged, reports } = watched();
  for (const [from, to] of [
    [97, 104],
    [97, 900],
    [5000, 9000],
  ] as const) {
    for (const grow of [
      (ptr: number) => debugged.rezalloc(ptr, to),
      (ptr: number) => debugged.recalloc(ptr, to, 1),
      (ptr: number) => debugged.rezallocAligned(ptr, to, 16),
    ]) {
      const ptr = debugged.zalloc(from);
      debugged.u8.fill(3, ptr, ptr + from);
      const grown = grow(ptr);
      const bytes = debugged.u8.subarray(grown, grown + to);
      assert.ok(bytes.every((byte, index) => byte === (index < from ? 3 : 0)));
      debugged.free(grown);
    }
  }
  assert.deepEqual(reports, []);
});

test("strings and paths are copied into blocks that are watched", () => {
  const { debugged, reports } = watched();
  const text = debugged.allocString("grüße", { terminate: true });
  assert.equal(debugged.readString(debugged.strdup(text.ptr)), "grüße");
  assert.equal(debugged.readString(debugged.strndup(text.ptr, 2)), "gr");
  assert.equal(debugged.strdup(0), 0);
  const path = debugged.allocString("/usr/../usr/.", { terminate: true });
  const real = debugged.realpath(path.ptr);
  assert.equal(debugged.readString(real), "/usr");
  assert.equal(debugged.realpath(path.ptr, text.ptr), text.ptr);
  assert.equal(debugged.realpath(debugged.allocString("/none", { terminate: true }).ptr), 0);
  assert.equal(debugged.realpath(0), 0);
  assert.equal(debugged.usableSize(real), 5);
  process.env.TERRANE_TEST_WORD = "wörd";
  const out = debugged.zalloc(16);
  const name = debugged.allocString("TERRANE_TEST_WORD", { terminate: true });
  assert.equal(debugged.dupenvS(out, out + 4, name.ptr), 0);
  const [value, length] = [debugged.u32[out / 4] as number, debugged.u32[out / 4 + 1]];
  assert.deepEqual(
    [debugged.readString(value), length, debugged.usableSize(value)],
    ["wörd", 5, 6],
  );
  const wide = debugged.allocArray(Uint16Array, 18);
  wide.set([..."TERRANE_TEST_WORD"].map((letter) => letter.charCodeAt(0)));
  assert.equal(debugged.wdupenvS(out + 8, 0, wide.ptr), 0);
  assert.equal(debugged.usableSize(debugged.u32[out / 4 + 2] as number), 10);
  assert.equal(debugged.usableSize(debugged.wcsdup(wide.ptr)), 36);
  assert.equal(debugged.usableSize(debugged.abi.mi_wcsdup?.(wide.ptr) as number), 36);
  assert.equal(debugged.readString(debugged.mbsdup(path.ptr)), "/usr/../usr/.");
  assert.equal(debugged.detectLeaks(), 6 + 8);
  assert.equal(reports.length, 1);
});

test("new asks its handler while memory is out, and throws at last", () => {
  const { debugged } = watched({}, createHeap({ maximum: 2 ** 20 }));
  const hoard = [debugged.malloc(300_000), debugged.malloc(300_000)];
  const failures: [number, number][] = [];
  debugged.registerError((code, size) => failures.push([code, size]));
  debugged.setNewHandler(() => {
    const ptr = hoard.pop();
    if (ptr === undefined) debugged.setNewHandler(undefined);
    else debugged.free(ptr);
  });
  const ptr = debugged.new(500_000);
  assert.notEqual(ptr, 0);
  assert.ok(hoard.length < 2);
  assert.throws(() => debugged.new(2 ** 20), {
    name: "HeapError",
    code: "ERR_OUT_OF_MEMORY",
    message: "new: no memory for 1048576 bytes",
  });
  assert.equal(debugged.newNothrow(0xffffffff), 0);
  assert.throws(() => debugged.newN(2 ** 20, 2 ** 20), HeapError);
  assert.throws(() => debugged.newRealloc(ptr, 2 ** 21), HeapError);
  assert.equal(debugged.newAlignedNothrow(2 ** 21, 16), 0);
  assert.throws(() => debugged.abi._Znwm?.(2 ** 21), {
    message: "operator new: no memory for 2097152 bytes",
  });
  assert.ok(failures.every(([code]) => code === 12));
  assert.deepEqual(failures.at(-1), [12, 2 ** 21]);
  debugged.registerError(undefined);
  debugged.free(ptr);
  assert.throws(() => debugged.registerError(5 as never), TypeError);
  assert.equal(debugged.destroy(), "ok");
});

test("the deferred free runs at intervals, and with force when memory is out", () => {
  const { debugged, reports } = watched({ quarantine: 0 }, createHeap({ maximum: 2 ** 20 }));
  const later: number[] = [];
  const calls: [boolean, number][] = [];
  debugged.registerDeferredFree((force, heartbeat) => {
    calls.push([force, heartbeat]);
    debugged.free(debugged.malloc(10)); // does not call it again
    for (const ptr of later.splice(0)) debugged.free(ptr);
  });
  for (let i = 0; i < 1000; i++) later.push(debugged.malloc(10));
  assert.ok(calls.length >= 5 && calls.every(([force]) => !force));
  assert.deepEqual(
    calls.map(([, heartbeat]) => heartbeat),
    calls.map((_, index) => index + 1),
  );
  later.push(debugged.malloc(400_000));
  assert.notEqual(debugged.malloc(500_000), 0);
  assert.ok(calls.at(-1)?.[0]);
  assert.equal(debugged.malloc(2 ** 20), 0);
  debugged.registerDeferredFree(undefined);
  const { length } = calls;
  for (let i = 0; i < 1000; i++) debugged.free(debugged.malloc(10));
  assert.equal(calls.length, length);
  assert.deepEqual(reports, []);
});

test("collect gives back what quarantine holds, with a look at its poison", () => {
  const { debugged, messages } = watched({ quarantine: 2 ** 30 });
  const large = debugged.malloc(50_000);
  const small = debugged.malloc(100);
  debugged.free(large);
  debugged.free(small);
  assert.ok(debugged.stats().residentBytes > 50_100);
  debugged.u8[large + 5] = 1;
  debugged.u8[small] = 1;
  debugged.collect();
  assert.equal(debugged.stats().residentBytes, 0);
  assert.equal(messages().length, 2);
  const ptr = debugged.malloc(100);
  debugged.collect();
  assert.equal(debugged.usableSize(ptr), 100);
  debugged.free(ptr);
  assert.equal(debugged.destroy(), "ok");
});

test("a heap beside: its blocks go at once, and are known as freed by that call", () => {
  const { debugged, reports, messages } = watched();
  const scratch = debugged.newHeap();
  const mine = debugged.malloc(10);
  const ptrs = [scratch.malloc(100), scratch.memalignAt(64, 30, 8), scratch.calloc(10, 1000)];
  const view = scratch.allocArray(Float64Array, 4);
  assert.ok(scratch.contains(ptrs[0] as number) && !scratch.contains(mine));
  assert.ok(scratch.checkOwned(ptrs[2] as number) && !scratch.checkOwned((ptrs[2] as number) + 1));
  const seen: [number, number][] = [];
  const areas: number[] = [];
  scratch.visitBlocks((ptr, size) => void seen.push([ptr, size]), {
    areas: ({ used, start, blockSize }) => void areas.push(used, start % 16, blockSize & 15),
  });
  assert.deepEqual(
    new Map(seen),
    new Map([
      [ptrs[0] as number, 100],
      [ptrs[1] as number, 30],
      [ptrs[2] as number, 10_000],
      [view.ptr, 32],
    ]),
  );
  assert.deepEqual(
    seen.map(([ptr]) => ptr),
    seen.map(([ptr]) => ptr).sort((a, b) => a - b),
  );
  assert.equal(areas.length % 3, 0);
  scratch.destroy();
  assert.equal(debugged.stats().blocks, 1);
  debugged.free(ptrs[0] as number);
  assert.deepEqual(
    reports[0]?.stacks.map(({ title }) => title),
    ["allocated", "freed first", "freed again"],
  );
  assert.match(messages()[0] as string, /^double free of the block of 100 bytes/);
  for (const use of [
    () => scratch.malloc(1),
    () => scratch.free(mine),
    () => scratch.destroy(),
    () => scratch.collect(),
    () => scratch.visitBlocks(undefined),
    () => scratch.goodSize(1),
  ]) {
    assert.throws(use, { code: "ERR_HEAP_DESTROYED" });
  }
  debugged.free(mine);
  assert.equal(debugged.destroy(), "ok");
});

test("a heap that keeps its blocks leaves them to the backing heap", () => {
  const { debugged, reports } = watched();
  const { backingHeap } = debugged;
  using scratch = debugged.newHeap();
  assert.equal(debugged.setDefaultHeap(scratch), backingHeap);
  assert.equal(debugged.defaultHeap, scratch);
  const ptr = debugged.malloc(10);
  assert.ok(scratch.contains(ptr));
  const moved = backingHeap.realloc(scratch.malloc(10), 500);
  assert.ok(backingHeap.contains(moved));
  scratch.destroy({ keepBlocks: true });
  assert.equal(debugged.knows(scratch), false);
  assert.throws(() => scratch.malloc(1), { code: "ERR_HEAP_DESTROYED" });
  assert.equal(debugged.defaultHeap, backingHeap);
  assert.ok(backingHeap.contains(ptr));
  backingHeap.destroy();
  backingHeap.destroy({ keepBlocks: true });
  assert.equal(debugged.usableSize(ptr), 10);
  assert.throws(() => debugged.setDefaultHeap(scratch), TypeError);
  assert.throws(() => debugged.setDefaultHeap(watched().debugged.newHeap()), TypeError);
  debugged.free(ptr);
  debugged.free(moved);
  assert.equal(debugged.destroy(), "ok");
  assert.deepEqual(reports, []);
});

test("heaps under C's names, by their ids", () => {
  const { debugged, messages } = watched();
  const c = debugged.abi as unknown as Record<string, (...args: number[]) => number>;
  const call = (name: string, ...args: number[]) => c[name]?.(...args) as number;
  const heap = call("mi_heap_new");
  const backing = call("heap_get_backing");
  assert.ok(heap !== 0 && backing !== 0 && heap !== backing);
  const ptr = call("mi_heap_malloc", heap, 100);
  const aligned = call("heap_malloc_aligned_at", heap, 100, 64, 8);
  assert.equal((aligned + 8) % 64, 0);
  assert.deepEqual(
    [
      call("heap_contains_block", heap, ptr),
      call("heap_contains_block", backing, ptr),
      call("heap_check_owned", heap, ptr),
      call("check_owned", ptr),
    ],
    [1, 0, 1, 0],
  );
  assert.equal(call("heap_set_default", heap), backing);
  assert.equal(call("check_owned", ptr), 1);
  const kept = call("malloc", 5);
  call("heap_delete", heap);
  assert.equal(call("heap_get_default"), backing);
  assert.equal(call("heap_contains_block", backing, kept), 1);
  assert.throws(() => call("heap_malloc", heap, 1), { code: "ERR_HEAP_DESTROYED" });
  call("heap_delete", heap); // nothing happens
  const second = call("heap_new");
  const other = call("heap_strdup", second, debugged.allocString("x", { terminate: true }).ptr);
  call("heap_destroy", second);
  call("free", other);
  assert.equal(messages().length, 1);
  call("collect", 1);
  call("heap_collect", backing, 0);
});

test("a destroyed allocator throws, and so do its heaps and, if asked, what is below", () => {
  const heap = createHeap();
  const { debugged, messages } = watched({}, heap);
  const scratch = debugged.newHeap();
  debugged.malloc(10);
  assert.equal(debugged.destroy({ backing: true }), "leak");
  assert.deepEqual(messages(), ["leak: 1 block of 10 bytes never freed"]);
  const uses = [
    () => debugged.malloc(1),
    () => debugged.free(16),
    () => debugged.destroy(),
    () => debugged.abi.malloc(1),
    () => scratch.malloc(1),
    () => heap.malloc(1),
  ];
  for (const use of uses) assert.throws(use, { code: "ERR_HEAP_DESTROYED" });
});

test("a destroyed allocator throws by itself, and the heap below goes on", () => {
  const heap = createHeap();
  for (const sampleEvery of [1, 1000]) {
    const { debugged } = watched({ sampleEvery, seed: 1 }, heap);
    const scratch = debugged.newHeap();
    const { malloc, free } = debugged;
    const ptr = debugged.malloc(10);
    debugged.free(ptr);
    assert.equal(debugged.destroy(), "ok");
    debugged[Symbol.dispose](); // nothing is left to do
    const uses = [
      ...[() => debugged.malloc(1), () => debugged.free(ptr), () => debugged.calloc(1, 1)],
      ...[() => malloc(1), () => debugged.realloc(0, 1), () => debugged.usableSize(ptr)],
      ...[() => debugged.check(), () => debugged.detectLeaks(), () => debugged.newHeap()],
      ...[
        () => debugged.abi.malloc(1),
        () => debugged.abi.free(ptr),
        () => debugged.abi.calloc(1, 1),
      ],
      ...[() => debugged.contains(ptr), () => debugged.goodSize(1), () => scratch.malloc(1)],
    ];
    for (const use of uses) assert.throws(use, { code: "ERR_HEAP_DESTROYED" }, String(use));
    assert.equal(typeof free, "function");
    assert.notEqual(heap.malloc(1), 0);
  }
});

test("a sampling allocator guards all of a heap beside, and passes the rest of the family on", () => {
  for (const below of [createHeap(), createAllocator(pipe(std(createHeap()), segregated()))]) {
    const { debugged, reports } = watched({ sampleEvery: 50, seed: 3 }, below);
    const scratch = debugged.newHeap();
    const mine = Array.from({ length: 100 }, () => scratch.malloc(10));
    assert.equal(debugged.stats().blocks, 100);
    const ptrs: number[] = [];
    for (let i = 0; i < 2000; i++) {
      ptrs.push(
        debugged.memalignAt(64, 100, 8),
        debugged.zallocAligned(100, 256),
        debugged.rezalloc(0, 40),
      );
    }
    for (const [i, ptr] of ptrs.entries()) {
      const [alignment, offset, size] = [
        [64, 8, 100],
        [256, 0, 100],
        [1, 0, 40],
      ][i % 3] as [number, number, number];
      assert.equal((ptr + offset) % alignment, 0);
      assert.ok(debugged.usableSize(ptr) >= size);
      if (i % 3 > 0) assert.ok(debugged.u8.subarray(ptr, ptr + size).every((byte) => byte === 0));
      const grown =
        i % 2 ? debugged.rezalloc(ptr, 900) : debugged.reallocAlignedAt(ptr, 900, 32, 4);
      if (i % 2 === 0) assert.equal((grown + 4) % 32, 0);
      if (i % 2) assert.ok(debugged.u8.subarray(grown + 256, grown + 900).every((b) => b === 0));
      debugged.free(grown);
    }
    debugged.setDefaultHeap(scratch);
    mine.push(debugged.malloc(5));
    assert.ok(scratch.contains(mine.at(-1) as number));
    scratch.destroy();
    assert.equal(debugged.destroy(), "ok");
    assert.deepEqual(reports.map(String), []);
  }
});

test("wrong arguments are refused by every call of the family", () => {
  const { debugged, reports } = watched();
  const sizes: ((bad: number) => unknown)[] = [
    (bad) => debugged.mallocn(bad, 1),
    (bad) => debugged.mallocn(1, bad),
    (bad) => debugged.reallocn(0, bad, 1),
    (bad) => debugged.reallocarray(0, 1, bad),
    (bad) => debugged.reallocf(0, bad),
    (bad) => debugged.rezalloc(0, bad),
    (bad) => debugged.recalloc(0, 1, bad),
    (bad) => debugged.reallocarr(8, bad, 1),
    (bad) => debugged.expand(0, bad),
    (bad) => debugged.memalignAt(16, bad, 0),
    (bad) => debugged.memalignAt(16, 1, bad),
    (bad) => debugged.mallocAligned(bad, 16),
    (bad) => debugged.mallocAlignedAt(1, 16, bad),
    (bad) => debugged.zallocAligned(bad, 16),
    (bad) => debugged.zallocAlignedAt(bad, 16, 0),
    (bad) => debugged.callocAligned(bad, 1, 16),
    (bad) => debugged.callocAlignedAt(1, bad, 16, 0),
    (bad) => debugged.reallocAligned(0, bad, 16),
    (bad) => debugged.reallocAlignedAt(0, 1, 16, bad),
    (bad) => debugged.rezallocAligned(0, bad, 16),
    (bad) => debugged.rezallocAlignedAt(0, bad, 16, 0),
    (bad) => debugged.recallocAligned(0, bad, 1, 16),
    (bad) => debugged.recallocAlignedAt(0, bad, 1, 16, 0),
    (bad) => debugged.posixMemalign(8, 16, bad),
    (bad) => debugged.valloc(bad),
    (bad) => debugged.pvalloc(bad),
    (bad) => debugged.freeSize(0, bad),
    (bad) => debugged.freeSizeAligned(0, bad, 16),
    (bad) => debugged.mallocGoodSize(bad),
    (bad) => debugged.strndup(0, bad),
    (bad) => debugged.newN(bad, 1),
    (bad) => debugged.newReallocn(0, bad, 1),
  ];
  for (const call of sizes) {
    for (const bad of [-1, 0.5, 2 ** 31]) assert.throws(() => call(bad), RangeError);
    assert.throws(() => call("1" as never), TypeError);
  }
  for (const call of [
    (bad: number) => debugged.new(bad),
    (bad: number) => debugged.newNothrow(bad),
    (bad: number) => debugged.newAligned(bad, 16),
    (bad: number) => debugged.newRealloc(0, bad),
  ]) {
    for (const bad of [-1, 0.5, 2 ** 32]) assert.throws(() => call(bad), RangeError);
  }
  for (const call of [
    (bad: number) => debugged.mallocAligned(1, bad),
    (bad: number) => debugged.zallocAlignedAt(1, bad, 0),
    (bad: number) => debugged.reallocAligned(0, 1, bad),
    (bad: number) => debugged.recallocAligned(0, 1, 1, bad),
    (bad: number) => debugged.freeAligned(0, bad),
    (bad: number) => debugged.freeSizeAligned(0, 1, bad),
    (bad: number) => debugged.newAligned(1, bad),
    (bad: number) => debugged.newAlignedNothrow(1, bad),
  ]) {
    for (const bad of [0, 3, 2 ** 31]) assert.throws(() => call(bad), RangeError);
  }
  for (const call of [
    (bad: number) => debugged.mallocSize(bad),
    (bad: number) => debugged.cfree(bad),
    (bad: number) => debugged.strdup(bad),
    (bad: number) => debugged.realpath(bad),
    (bad: number) => debugged.realpath(0, bad),
    (bad: number) => debugged.posixMemalign(bad, 16, 1),
  ]) {
    assert.throws(() => call(-1), RangeError);
  }
  assert.deepEqual(
    [
      debugged.posixMemalign(0, 16, 1),
      debugged.posixMemalign(8, 2, 1),
      debugged.posixMemalign(8, 24, 1),
      debugged.abi.memalign(3, 1),
      debugged.abi.mi_zalloc_aligned?.(1, 0),
      debugged.abi.mi_realloc_aligned?.(0, 1, 5),
      debugged.abi.pvalloc?.(-1),
    ],
    [22, 22, 22, 0, 0, 0, 0],
  );
  debugged.cfree(24);
  debugged.cfree(debugged.malloc(1));
  assert.equal(debugged.destroy(), "ok");
  assert.deepEqual(reports, []);
});
