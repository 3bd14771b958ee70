/** Where blocks lie: slots, pages, large blocks, quarantine, and what happens when memory is out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugOptions, debug, type Report } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { createAllocator, limit, pipe, std } from "#src/layers/index.js";
import { wasmMemory } from "#src/memory/index.js";
import { Random, seedOf } from "../../support/random.js";
import { collect } from "../report/scene-calls.js";

/** Stands in for a heap without being one: all guarded memory lies in its blocks. */
function passing<A extends object>(allocator: A): A {
  return new Proxy(allocator, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A debug allocator that keeps its reports, with pages of 4096 bytes: 32 slots of 128. */
function watched(options: DebugOptions = {}, heap = createHeap()) {
  const reports: Report[] = [];
  const debugHeap = debug(passing(heap), {
    pageSize: 4096,
    quarantine: 0,
    stackTraceFrames: 1,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { heap, debugHeap, reports, codes: () => reports.map(({ code }) => code) };
}

const SLOTS = 32;
const SIZE = 100;

test("a slot is not used again before its page is retired", () => {
  const { debugHeap, reports } = watched();
  const seen = new Set<number>();
  for (let i = 0; i < SLOTS; i++) {
    const ptr = debugHeap.malloc(SIZE);
    assert.ok(!seen.has(ptr));
    seen.add(ptr);
    if (i < SLOTS - 1) debugHeap.free(ptr);
  }
  const next = debugHeap.malloc(SIZE); // from another page, while one slot of the first is live
  assert.ok(!seen.has(next));
  assert.equal(reports.length, 0);
});

test("a page whose slots are all freed is given back", () => {
  const { heap, debugHeap } = watched();
  const ptrs = Array.from({ length: 2 * SLOTS }, () => debugHeap.malloc(SIZE));
  assert.equal(heap.stats().blocks, 2);
  assert.equal(debugHeap.stats().residentBytes, 2 * 4096);
  for (const ptr of ptrs.slice(1)) debugHeap.free(ptr);
  assert.equal(heap.stats().blocks, 1);
  debugHeap.free(ptrs[0] as number);
  assert.equal(heap.stats().blocks, 0);
  assert.equal(debugHeap.stats().residentBytes, 0);
});

test("a page with slots left stays, and serves the next blocks", () => {
  const { heap, debugHeap } = watched();
  debugHeap.free(debugHeap.malloc(SIZE));
  assert.equal(heap.stats().blocks, 1);
  debugHeap.malloc(SIZE);
  assert.equal(heap.stats().blocks, 1);
});

test("quarantine holds freed memory back until it is full", () => {
  const { debugHeap } = watched({ quarantine: 20_000 });
  const held = () => debugHeap.stats().residentBytes;
  debugHeap.free(debugHeap.malloc(9000));
  const one = held();
  assert.ok(one > 9000);
  debugHeap.free(debugHeap.malloc(9000));
  assert.equal(held(), 2 * one);
  debugHeap.free(debugHeap.malloc(9000));
  assert.equal(held(), 2 * one);
  assert.equal(debugHeap.destroy(), "ok");
  assert.equal(held(), 0);
});

test("neverUnmap holds all freed memory, and a late free and a late write are found", () => {
  const { heap, debugHeap, codes } = watched({ neverUnmap: true });
  const large = debugHeap.malloc(50_000);
  const ptrs = Array.from({ length: SLOTS }, () => debugHeap.malloc(SIZE));
  for (const ptr of [...ptrs, large]) debugHeap.free(ptr);
  assert.equal(heap.stats().blocks, 2);
  debugHeap.u8[large] = 1;
  debugHeap.u8[ptrs[3] as number] = 1;
  debugHeap.check();
  assert.deepEqual(codes(), ["ERR_WRITE_AFTER_FREE", "ERR_WRITE_AFTER_FREE"]);
  debugHeap.free(large);
  debugHeap.free(ptrs[4] as number);
  assert.deepEqual(codes().slice(2), ["ERR_DOUBLE_FREE", "ERR_DOUBLE_FREE"]);
});

test("with retainMetadata a double free of memory that was given back is found, until it is flushed", () => {
  for (const retainMetadata of [true, false]) {
    const { heap, debugHeap, codes, reports } = watched({ retainMetadata });
    const large = debugHeap.malloc(50_000);
    const ptrs = Array.from({ length: SLOTS }, () => debugHeap.malloc(SIZE));
    for (const ptr of [...ptrs, large]) debugHeap.free(ptr);
    assert.equal(heap.stats().blocks, 0);
    debugHeap.free(large);
    debugHeap.free(ptrs[5] as number);
    const code = retainMetadata ? "ERR_DOUBLE_FREE" : "ERR_NOT_A_BLOCK";
    assert.deepEqual(codes(), [code, code]);
    if (!retainMetadata) continue;
    assert.deepEqual(
      reports[1]?.stacks.map(({ title }) => title),
      ["allocated", "freed first", "freed again"],
    );
    const before = debugHeap.stats().overheadBytes;
    debugHeap.flushRetainedMetadata();
    assert.ok(debugHeap.stats().overheadBytes < before);
    debugHeap.free(large);
    assert.deepEqual(codes().slice(2), ["ERR_NOT_A_BLOCK"]);
  }
});

test("when memory is out, what was freed first is used again: pages, then slots", () => {
  for (const neverUnmap of [false, true]) {
    const heap = createAllocator(pipe(std(createHeap()), limit(6 * 6000)));
    const { debugHeap, reports } = watched({ neverUnmap, quarantine: 2 ** 30 }, heap as never);
    const pages = [0, 1, 2].map(() => Array.from({ length: SLOTS }, () => debugHeap.malloc(SIZE)));
    const [first, second, third] = pages as [number[], number[], number[]];
    for (const ptr of [...second, ...first]) debugHeap.free(ptr);
    while (debugHeap.malloc(SIZE) !== 0 && debugHeap.stats().blocks < 1000);
    // Both pages were given back and taken again; the third never was.
    assert.ok(debugHeap.stats().blocks >= 3 * SLOTS);
    assert.equal(debugHeap.malloc(SIZE), 0);
    assert.equal(debugHeap.malloc(50_000), 0);
    for (const index of [7, 5, 9]) debugHeap.free(third[index] as number);
    assert.deepEqual(
      [
        debugHeap.malloc(SIZE),
        debugHeap.malloc(SIZE),
        debugHeap.malloc(SIZE),
        debugHeap.malloc(SIZE),
      ],
      [third[7], third[5], third[9], 0],
    );
    assert.equal(reports.length, 0);
    debugHeap.free(third[7] as number);
    debugHeap.u8[third[7] as number] = 1;
    assert.equal(debugHeap.malloc(SIZE), third[7]);
    assert.deepEqual(
      reports.map(({ code }) => code),
      ["ERR_WRITE_AFTER_FREE"],
    );
  }
});

test("a large block that is freed in time makes space for the next", () => {
  const heap = createHeap({ maximum: 2 ** 20 });
  const { debugHeap, reports } = watched({ quarantine: 2 ** 30 }, heap);
  for (let i = 0; i < 50; i++) {
    const ptr = debugHeap.malloc(300_000);
    assert.notEqual(ptr, 0);
    debugHeap.free(ptr);
  }
  assert.equal(reports.length, 0);
});

test("realloc stays in a slot of the right class and in a run that is not half empty", () => {
  const { debugHeap } = watched({ quarantine: 2 ** 20 });
  const small = debugHeap.malloc(90);
  assert.equal(debugHeap.realloc(small, 100), small);
  assert.equal(debugHeap.usableSize(small), 100);
  const moved = debugHeap.realloc(small, 110);
  assert.notEqual(moved, small);
  const large = debugHeap.malloc(10_000);
  assert.equal(debugHeap.realloc(large, 6000), large);
  assert.equal(debugHeap.realloc(large, 9999), large);
  assert.notEqual(debugHeap.realloc(large, 2000), large);
  const aligned = debugHeap.memalign(256, 30);
  assert.equal(debugHeap.realloc(aligned, 9000) % 256, 0);
});

test("realloc keeps contents and leaves the block when memory is out", () => {
  const { debugHeap } = watched({}, createHeap({ maximum: 2 ** 19 }));
  for (const size of [50, 5000]) {
    const ptr = debugHeap.malloc(size);
    debugHeap.u8.fill(size & 255, ptr, ptr + size);
    assert.equal(debugHeap.realloc(ptr, 2 ** 20), 0);
    const moved = debugHeap.realloc(ptr, 4 * size);
    assert.ok(debugHeap.u8.subarray(moved, moved + size).every((byte) => byte === (size & 255)));
    assert.ok(debugHeap.u8.subarray(moved + size, moved + 4 * size).every((byte) => byte === 0xaa));
    assert.equal(debugHeap.stats().requestedBytes, 4 * size);
    debugHeap.free(moved);
  }
});

test("every alignment is kept, by small blocks and large, over any backing", () => {
  const pool = std(createHeap());
  // A request to an allocator without memalign must be large enough for an aligned run.
  const inner = debug(createHeap(), { reportAtExit: false, onReport: "throw" });
  const checked = {
    malloc: (size: number) => inner.malloc(size),
    free: (ptr: number) => inner.free(ptr),
    get u8() {
      return inner.u8;
    },
    get u32() {
      return inner.u32;
    },
  };
  for (const below of [createHeap(), createAllocator(pool), pool, wasmMemory(), checked]) {
    const { debugHeap, reports } = watched({}, below as never);
    for (let alignment = 1; alignment <= 2 ** 17; alignment *= 2) {
      for (const size of [0, 1, 17, 100, 3000]) {
        const ptr = debugHeap.memalign(alignment, size);
        assert.equal(ptr % alignment, 0);
        debugHeap.u8.fill(1, ptr, ptr + size);
        debugHeap.freeSized(ptr, size, alignment);
      }
    }
    assert.deepEqual(reports, []);
    assert.equal(debugHeap.destroy(), "ok");
  }
  assert.equal(inner.destroy(), "ok");
});

test("a stray write reaches no state: all of a page can be overwritten", (t) => {
  const seed = seedOf(9000);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const { debugHeap, codes } = watched();
  const ptrs = Array.from({ length: SLOTS - 2 }, () => debugHeap.malloc(SIZE));
  const [first] = ptrs as [number];
  debugHeap.free(ptrs.pop() as number);
  for (let at = first - 16; at < first - 16 + 4096; at++) debugHeap.u8[at] = random.below(255);
  debugHeap.check();
  const count = (code: string) => codes().filter((each) => each === code).length;
  assert.equal(count("ERR_HEAP_OVERFLOW"), SLOTS - 3);
  assert.equal(count("ERR_HEAP_UNDERFLOW"), SLOTS - 3);
  assert.equal(count("ERR_WRITE_AFTER_FREE"), 1);
  for (const ptr of ptrs) assert.equal(debugHeap.usableSize(ptr), SIZE);
  for (const ptr of ptrs) debugHeap.free(ptr);
  assert.equal(codes().length, 2 * (SLOTS - 3) + 1);
  assert.equal(debugHeap.destroy(), "ok");
});

test("destroy gives back leaked blocks too, and the heap below serves the next allocator", () => {
  const heap = createHeap();
  for (let round = 0; round < 3; round++) {
    const { debugHeap } = watched({}, heap);
    for (const size of [1, 100, 5000, 100_000]) debugHeap.malloc(size);
    assert.equal(debugHeap.destroy(), "leak");
    assert.deepEqual([heap.stats().blocks, debugHeap.stats().blocks], [0, 0]);
  }
});

test("without safety nothing is written around blocks, and frees are still checked", () => {
  const { debugHeap, codes } = watched({ safety: false });
  const ptr = debugHeap.malloc(SIZE);
  debugHeap.u8[ptr + SIZE] = 1;
  debugHeap.free(ptr);
  debugHeap.u8[ptr] = 1;
  debugHeap.check();
  assert.deepEqual(codes(), []);
  debugHeap.free(ptr);
  assert.deepEqual(codes(), ["ERR_DOUBLE_FREE"]);
});

test("new bytes are 0xaa, freed ones 0xdd, and the canary is the one in the options", () => {
  const { debugHeap } = watched({ canary: 0x44332211 });
  const ptr = debugHeap.malloc(6);
  assert.deepEqual([...debugHeap.u8.subarray(ptr, ptr + 6)], Array(6).fill(0xaa));
  assert.deepEqual([...debugHeap.u8.subarray(ptr - 4, ptr)], [0x11, 0x22, 0x33, 0x44]);
  assert.deepEqual(
    [...debugHeap.u8.subarray(ptr + 6, ptr + 12)],
    [0x33, 0x44, 0x11, 0x22, 0x33, 0x44],
  );
  debugHeap.free(ptr);
  assert.deepEqual([...debugHeap.u8.subarray(ptr - 16, ptr + 16)], Array(32).fill(0xdd));
});

test("a handle is not taken for the owner of a later block at the same address", async () => {
  const { debugHeap, reports } = watched();
  const fill = () => Array.from({ length: SLOTS - 1 }, () => debugHeap.malloc(SIZE));
  const first = (() => debugHeap.allocArray(Uint8Array, SIZE).ptr)();
  for (const ptr of [first, ...fill()]) debugHeap.free(ptr);
  assert.equal(debugHeap.malloc(SIZE), first);
  await collect();
  assert.deepEqual(reports, []);
});

/**
 * Bytes of JavaScript, after a collection, without the memory that is allocated from: a
 * WebAssembly.Memory is in `external` up to Node 24, and in `arrayBuffers` nowhere.
 */
async function scriptBytes(): Promise<number> {
  await collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("a million live blocks hold, with at most 64 bytes of metadata each", async (t) => {
  const seed = seedOf(9100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const heap = createHeap();
  const count = 1_000_000;
  const ptrs = new Uint32Array(count);
  const before = await scriptBytes();
  const debugHeap = debug(heap, { stackTraceFrames: 1, reportAtExit: false, onReport: "throw" });
  let requested = 0;
  for (let i = 0; i < count; i++) {
    const size = random.skewed(1, 900);
    ptrs[i] = debugHeap.malloc(size);
    requested += size;
  }
  const measured = ((await scriptBytes()) - before) / count;
  const { blocks, requestedBytes, residentBytes, overheadBytes } = debugHeap.stats();
  t.diagnostic(`${measured.toFixed(1)} bytes a block measured, ${overheadBytes / count} by stats`);
  assert.deepEqual([blocks, requestedBytes], [count, requested]);
  assert.ok(measured <= 64 && overheadBytes / count <= 64);
  assert.ok(residentBytes >= requested);
  for (const ptr of ptrs) debugHeap.free(ptr);
  assert.equal(debugHeap.stats().blocks, 0);
  assert.equal(debugHeap.destroy(), "ok");
});

test("the table of large blocks shrinks with the number of blocks", async (t) => {
  const heap = createHeap();
  const debugHeap = debug(heap, { stackTraceFrames: 1, reportAtExit: false, quarantine: 0 });
  const before = await scriptBytes();
  const ptrs = Array.from({ length: 30_000 }, () => debugHeap.malloc(1100));
  const full = (await scriptBytes()) - before;
  while (ptrs.length > 0) debugHeap.free(ptrs.pop() as number);
  const empty = (await scriptBytes()) - before;
  t.diagnostic(`${full} bytes for 30 000 large blocks, ${empty} for none`);
  assert.ok(full > 30_000 * 100);
  assert.ok(empty < full / 10);
});
