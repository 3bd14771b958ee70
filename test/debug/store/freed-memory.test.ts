/** What happens to freed memory where pages can be given back, over a source that checks each use. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugOptions, debug, type Report } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import {
  arrayBuffer,
  type MemorySource,
  osPages,
  type PageOperations,
  wasmMemory,
  withOsPages,
} from "#src/memory/index.js";
import { profiles, Shadow, step, typedVerbs } from "../../support/model.js";
import { Random, seedOf } from "../../support/random.js";

const PAGE = 4096;

interface Abilities {
  canRelease: boolean;
  canProtect: boolean;
  needsCommit?: boolean;
}

/**
 * Pages that can be given back, over a plain buffer. Bytes of a page that must not be touched are
 * filled with 0xee, and checked when it becomes usable again.
 */
function pagedSource({ canRelease, canProtect, needsCommit = false }: Abilities) {
  const below = arrayBuffer({ maximum: 2 ** 24 });
  const decommitted = new Set<number>();
  const closed = new Set<number>();
  let refusing = false;
  const bytes = (page: number) => new Uint8Array(below.buffer, page * PAGE, PAGE);
  const each = (address: number, size: number, visit: (page: number) => void) => {
    for (let page = Math.ceil(address / PAGE); (page + 1) * PAGE <= address + size; page++) {
      visit(page);
    }
    return true;
  };
  const isShut = (page: number) => closed.has(page) || (needsCommit && decommitted.has(page));
  const reopen = (page: number) => {
    assert.ok(
      bytes(page).every((byte) => byte === 0xee),
      `page ${page} was touched`,
    );
    bytes(page).fill(0);
  };
  const pages: PageOperations = {
    pageBytes: PAGE,
    needsCommit,
    commit: (address, size) =>
      !refusing &&
      each(address, size, (page) => {
        const was = isShut(page);
        decommitted.delete(page);
        if (was && !isShut(page)) reopen(page);
      }),
    decommit: (address, size) =>
      each(address, size, (page) => {
        assert.ok(!closed.has(page));
        decommitted.add(page);
        bytes(page).fill(needsCommit ? 0xee : 0);
      }),
    reset: () => true,
    protect: (address, size) =>
      each(address, size, (page) => {
        closed.add(page);
        bytes(page).fill(0xee);
      }),
    unprotect: (address, size) =>
      !refusing &&
      each(address, size, (page) => {
        const was = isShut(page);
        closed.delete(page);
        if (was && !isShut(page)) reopen(page);
        if (!needsCommit) decommitted.delete(page);
      }),
  };
  const source: MemorySource = {
    ...below,
    get buffer() {
      return below.buffer;
    },
    capabilities: { ...below.capabilities, canRelease, canProtect },
    pages,
  };
  const refuse = (on: boolean) => {
    refusing = on;
  };
  return { source, decommitted, closed, refuse };
}

const abilities: [string, Abilities][] = [
  ["can be given back", { canRelease: true, canProtect: false }],
  [
    "can be given back and must be taken again",
    {
      canRelease: true,
      canProtect: false,
      needsCommit: true,
    },
  ],
  ["can be protected", { canRelease: false, canProtect: true }],
  ["can be given back and protected", { canRelease: true, canProtect: true }],
  [
    "can be given back, taken and protected",
    {
      canRelease: true,
      canProtect: true,
      needsCommit: true,
    },
  ],
];

function watched(source: MemorySource, options: DebugOptions = {}) {
  const reports: Report[] = [];
  const debugHeap = debug(createHeap({ backend: javascript, memory: source }), {
    stackTraceFrames: 1,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    ...options,
  });
  return { debugHeap, codes: () => reports.splice(0).map(({ code }) => code) };
}

for (const [name, able] of abilities) {
  for (const neverUnmap of [false, true]) {
    const how = neverUnmap ? ", never unmapping" : "";
    test(`pages that ${name}${how}: random runs touch no page that must not be touched`, (t) => {
      for (const below of ["heap", "memory"] as const) {
        const seed = seedOf(9800);
        t.diagnostic(`TERRANE_SEED=${seed}`);
        const { source } = pagedSource(able);
        const backing =
          below === "heap" ? createHeap({ backend: javascript, memory: source }) : source;
        const debugHeap = debug(backing, {
          stackTraceFrames: 1,
          reportAtExit: false,
          onReport: "throw",
          neverUnmap,
          quarantine: 300_000,
        });
        const shadow = new Shadow(typedVerbs(debugHeap));
        const random = new Random(seed);
        const [small, , , , resizing] = profiles;
        for (const profile of [small, resizing]) {
          assert.ok(profile);
          for (let i = 0; i < 1500; i++) step(shadow, { ...profile, live: 200 }, random);
          debugHeap.check();
        }
        shadow.checkAll();
        shadow.freeAll();
        assert.equal(debugHeap.destroy(), "ok");
        assert.equal(debugHeap.stats().residentBytes, 0);
      }
    });
  }
}

test("a page whose slots are all freed holds no memory, and a late write is found", () => {
  const { source, decommitted } = pagedSource({ canRelease: true, canProtect: true });
  const { debugHeap, codes } = watched(source, { pageSize: 4096 });
  const ptrs = Array.from({ length: 32 }, () => debugHeap.malloc(100));
  const large = debugHeap.malloc(20_000);
  assert.equal(decommitted.size, 0);
  const before = debugHeap.stats().residentBytes;
  for (const ptr of [...ptrs, large]) debugHeap.free(ptr);
  assert.equal(decommitted.size, 1 + 5);
  assert.equal(before - debugHeap.stats().residentBytes, 6 * PAGE);
  assert.deepEqual(codes(), []);
  assert.equal(debugHeap.u8[ptrs[0] as number], 0);
  debugHeap.u8[(ptrs[3] as number) + 5] = 1;
  debugHeap.u8[large + 19_999] = 1;
  debugHeap.check();
  assert.deepEqual(codes(), ["ERR_WRITE_AFTER_FREE", "ERR_WRITE_AFTER_FREE"]);
  debugHeap.check();
  assert.deepEqual(codes(), []);
  debugHeap.free(large);
  debugHeap.free(ptrs[9] as number);
  assert.deepEqual(codes(), ["ERR_DOUBLE_FREE", "ERR_DOUBLE_FREE"]);
  debugHeap.u8[large] = 1;
  debugHeap.collect();
  assert.deepEqual(codes(), ["ERR_WRITE_AFTER_FREE"]);
  assert.equal(debugHeap.destroy(), "ok");
});

test("a write after free is found before the page is given back with its poison", () => {
  const { source } = pagedSource({ canRelease: true, canProtect: true });
  const { debugHeap, codes } = watched(source, { pageSize: 4096 });
  const ptrs = Array.from({ length: 32 }, () => debugHeap.malloc(100));
  const [first] = ptrs as [number];
  debugHeap.free(first);
  debugHeap.u8[first] = 1;
  for (const ptr of ptrs.slice(1)) debugHeap.free(ptr);
  assert.deepEqual(codes(), ["ERR_WRITE_AFTER_FREE"]);
});

test("neverUnmap protects pages for good, and their blocks stay known", () => {
  const { source, closed } = pagedSource({ canRelease: true, canProtect: true });
  const { debugHeap, codes } = watched(source, { pageSize: 4096, neverUnmap: true, quarantine: 0 });
  const ptrs = Array.from({ length: 32 }, () => debugHeap.malloc(100));
  const large = debugHeap.malloc(20_000);
  for (const ptr of [...ptrs, large]) debugHeap.free(ptr);
  assert.equal(closed.size, 6);
  assert.ok(closed.has(Math.floor(large / PAGE)));
  debugHeap.check();
  debugHeap.collect();
  assert.equal(closed.size, 6);
  debugHeap.free(large);
  debugHeap.free(ptrs[9] as number);
  assert.deepEqual(codes(), ["ERR_DOUBLE_FREE", "ERR_DOUBLE_FREE"]);
  assert.equal(debugHeap.destroy(), "ok");
  assert.equal(closed.size, 0);
});

test("a large block gives whole pages back when it shrinks, and takes them again when it grows", () => {
  for (const needsCommit of [false, true]) {
    const able = { canRelease: true, canProtect: true, needsCommit };
    const { source, decommitted } = pagedSource(able);
    const { debugHeap, codes } = watched(source);
    const ptr = debugHeap.malloc(40_000);
    debugHeap.u8.fill(7, ptr, ptr + 40_000);
    const whole = debugHeap.stats().residentBytes;
    assert.equal(debugHeap.realloc(ptr, 25_000), ptr);
    assert.equal(decommitted.size, 3);
    assert.equal(whole - debugHeap.stats().residentBytes, 3 * PAGE);
    debugHeap.check();
    assert.equal(debugHeap.realloc(ptr, 24_900), ptr);
    assert.equal(debugHeap.realloc(ptr, 36_000), ptr);
    assert.equal(debugHeap.stats().residentBytes, whole);
    assert.ok(debugHeap.u8.subarray(ptr, ptr + 24_900).every((byte) => byte === 7));
    assert.ok(debugHeap.u8.subarray(ptr + 24_900, ptr + 36_000).every((byte) => byte === 0xaa));
    assert.deepEqual(codes(), []);
    debugHeap.u8[ptr + 36_001] = 1;
    assert.equal(debugHeap.expand(ptr, 24_000), ptr);
    assert.deepEqual(codes(), ["ERR_HEAP_OVERFLOW"]);
    debugHeap.free(ptr);
    debugHeap.check();
    assert.equal(debugHeap.destroy(), "ok");
    assert.deepEqual(codes(), []);
  }
});

test("memory that the system does not make usable again stays unused, and a freed slot is used", () => {
  const able = { canRelease: true, canProtect: false, needsCommit: true };
  const { source, refuse } = pagedSource(able);
  const heap = createHeap({ backend: javascript, memory: source });
  let full = false;
  const below = {
    malloc: (size: number) => (full ? 0 : heap.malloc(size)),
    calloc: (count: number, size: number) => (full ? 0 : heap.calloc(count, size)),
    realloc: (ptr: number, size: number) => (full ? 0 : heap.realloc(ptr, size)),
    memalign: (alignment: number, size: number) => (full ? 0 : heap.memalign(alignment, size)),
    free: (ptr: number) => heap.free(ptr),
    usableSize: (ptr: number) => heap.usableSize(ptr),
    source,
    get u8() {
      return heap.u8;
    },
    get u32() {
      return heap.u32;
    },
  };
  const poor = debug(below, {
    pageSize: 4096,
    reportAtExit: false,
    onReport: "throw",
    quarantine: 2 ** 30,
  });
  const ptrs = Array.from({ length: 64 }, () => poor.malloc(100));
  for (const ptr of ptrs.slice(0, 40)) poor.free(ptr);
  full = true;
  refuse(true);
  const again = poor.malloc(100);
  assert.equal(again, ptrs[32]); // the first page, which is free, cannot be used
});

const os = osPages();
const missing = os.available ? false : `no OS pages: ${os.missing}`;

test("pages of the operating system: freed blocks hold no physical memory", {
  skip: missing,
}, (t) => {
  const source = withOsPages(wasmMemory({ maximum: 2 ** 28 }));
  const reports: Report[] = [];
  const debugHeap = debug(createHeap({ memory: source }), {
    reportAtExit: false,
    onReport: (report) => reports.push(report),
    quarantine: 2 ** 30,
  });
  const size = 2 ** 22;
  const ptr = debugHeap.malloc(size);
  const resident = () => source.pages?.resident?.(ptr, size) ?? 0;
  debugHeap.u8.fill(1, ptr, ptr + size);
  const full = resident();
  assert.equal(debugHeap.realloc(ptr, Math.floor(0.6 * size)), ptr);
  const half = resident();
  debugHeap.free(ptr);
  const none = resident();
  t.diagnostic(`${full} bytes of ${size}, ${half} after a shrink, ${none} after the free`);
  assert.ok(full >= size - 65536 && half <= 0.7 * size && none < 0.1 * size);
  debugHeap.u8[ptr + 100_000] = 1;
  debugHeap.free(ptr);
  assert.equal(debugHeap.destroy(), "ok");
  assert.deepEqual(
    reports.map(({ code }) => code),
    ["ERR_DOUBLE_FREE", "ERR_WRITE_AFTER_FREE"],
  );
});
