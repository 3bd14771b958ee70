/** Stray writes into what the allocator below keeps in memory: the program goes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugAllocator, type DebugOptions, debug } from "#src/debug/index.js";
import { createHeap, type Heap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { createAllocator, std } from "#src/layers/index.js";
import { anyHeap } from "../../support/any-heap.js";

interface Scene {
  readonly heap: DebugAllocator;
  readonly codes: string[];
}

function scene(make: (options: DebugOptions) => DebugAllocator): Scene {
  const codes: string[] = [];
  const onReport: DebugOptions["onReport"] = (report) => codes.push(report.code);
  return { heap: make({ onReport, reportAtExit: false, quarantine: 0 }), codes };
}

/** Calls that need new memory, and give memory back. */
function work(heap: DebugAllocator, before: readonly number[]): void {
  for (const ptr of before) heap.free(ptr);
  for (let i = 0; i < 200; i++) {
    const ptr = heap.malloc(3000 + i);
    assert.notEqual(ptr, 0);
    heap.u8.fill(7, ptr, ptr + 3000 + i);
    const moved = heap.realloc(ptr, 20_000);
    assert.equal(heap.u8[moved + 2999], 7);
    heap.free(moved);
  }
  heap.check();
}

const plain: [string, (options: DebugOptions) => DebugAllocator][] = [
  ["createHeap()", (options) => debug(createHeap(), options)],
  ["the JavaScript back end", (options) => debug(createHeap({ backend: javascript }), options)],
];

for (const [name, make] of plain) {
  for (const fill of [0, 0xff, 0x41]) {
    test(`over ${name}, no write of 0x${fill.toString(16)} into its state is of consequence`, () => {
      const { heap, codes } = scene(make);
      const before = Array.from({ length: 40 }, (_, i) => heap.malloc(1 + i * 100));
      heap.u8.fill(fill, 0x10000, 0x20000);
      work(heap, before);
      heap.collect();
      heap.visitBlocks(undefined);
      assert.equal(heap.detectLeaks(), 0);
      assert.equal(heap.destroy(), "ok");
      assert.deepEqual(codes, []);
    });
  }
}

test("what one debug allocator gives back, the next one over the same heap uses", () => {
  const below = createHeap();
  let bytes = 0;
  for (let round = 0; round < 50; round++) {
    const heap = debug(below, { reportAtExit: false });
    heap.free(heap.malloc(300_000));
    heap.destroy();
    if (round === 0) bytes = below.buffer.byteLength;
  }
  assert.equal(below.buffer.byteLength, bytes);
});

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: the heap below and the blocks beside it do not meet`, () => {
    apart(anyHeap({ backend }));
    apart(anyHeap({ backend, maximum: 2 ** 23 }));
  });
}

/** Blocks of both in turn, until the memory of the smaller heap cannot grow any more. */
function apart(below: Heap): void {
  const heap = debug(below, { reportAtExit: false, onReport: "throw" });
  const theirs = [];
  const ours = [];
  for (let i = 0; i < 300; i++) {
    const size = 1 + ((i * 7919) % 40_000);
    const [a, b] = [below.malloc(size), heap.malloc(size)];
    if (a !== 0) theirs.push([a, size] as const);
    if (b !== 0) ours.push([b, size] as const);
    if (a === 0 || b === 0) break;
    below.u8.fill(1, a, a + size);
    heap.u8.fill(2, b, b + size);
  }
  const isWhole = ([ptr, size]: readonly [number, number], byte: number) =>
    below.u8.subarray(ptr, ptr + size).every((each) => each === byte);
  const filled = Math.min(theirs.length, ours.length);
  assert.ok(theirs.slice(0, filled - 1).every((block) => isWhole(block, 1)));
  assert.ok(ours.slice(0, filled - 1).every((block) => isWhole(block, 2)));
  for (const [ptr] of ours) heap.free(ptr);
  heap.destroy();
}

test("a heap whose memory cannot grow serves the debug allocator from its own blocks", () => {
  const below = createHeap({ initial: 2 ** 22, maximum: 2 ** 22 });
  const heap = debug(below, { reportAtExit: false });
  const ptr = heap.malloc(2 ** 20);
  assert.notEqual(ptr, 0);
  assert.ok(below.stats().blocks > 0);
  heap.free(ptr);
  assert.equal(heap.destroy(), "ok");
  assert.equal(below.stats().blocks, 0);
});

const watched: [string, (options: DebugOptions) => DebugAllocator][] = [
  [
    "a heap that threads share",
    (options) => debug(createSharedHeap(), { ...options, threadSafe: true }),
  ],
  ["a shared heap of one thread", (options) => debug(createSharedHeap(), options)],
];

for (const [name, make] of watched) {
  test(`damage to ${name} is reported once, and the program goes on`, () => {
    const { heap, codes } = scene(make);
    const before = Array.from({ length: 40 }, (_, i) => heap.malloc(1 + i * 100));
    const { start } = heap.source as { start: number };
    heap.u8.fill(0, start, start + 2 ** 16);
    work(heap, before);
    assert.deepEqual(codes, ["ERR_HEAP_DAMAGED"]);
    assert.equal(heap.destroy(), "ok");
  });
}

test("with samples, damage is reported once, and every block is guarded from then on", () => {
  const { heap, codes } = scene((options) => debug(createHeap(), { ...options, sampleEvery: 4 }));
  for (let i = 0; i < 20; i++) heap.malloc(100);
  heap.u8.fill(0, 0x10000, 0x20000);
  for (let i = 0; i < 100; i++) assert.notEqual(heap.malloc(5000), 0);
  assert.deepEqual(codes, ["ERR_HEAP_DAMAGED"]);
  const ptr = heap.malloc(100);
  heap.u8[ptr + 100] = 0;
  heap.free(ptr);
  assert.deepEqual(codes, ["ERR_HEAP_DAMAGED", "ERR_HEAP_OVERFLOW"]);
});

test("layers over a damaged heap: the report names the cause, and malloc returns 0", () => {
  const texts: string[] = [];
  const pool = createAllocator(std(createHeap()));
  const onReport: DebugOptions["onReport"] = (report) => texts.push(String(report));
  const heap = debug(pool, { onReport, reportAtExit: false });
  heap.malloc(100);
  heap.u8.fill(0, 0x10000, 0x20000);
  while (texts.length === 0) heap.malloc(100_000);
  assert.equal(heap.malloc(100_000), 0);
  assert.match(
    texts[0] as string,
    /^a stray write has damaged the allocator below .*: .*\n {2}found/,
  );
});

test("a late second free says how sure it is, and which options make sure", () => {
  const texts: string[] = [];
  const onReport: DebugOptions["onReport"] = (report) => texts.push(report.message);
  const heap = debug(createHeap(), { onReport, reportAtExit: false, quarantine: 0 });
  const stale = heap.malloc(5000);
  heap.free(stale);
  heap.free(stale);
  assert.match(
    texts[0] as string,
    /which is not a block now; .*retainMetadata: true or neverUnmap/,
  );
  const owner = heap.malloc(5000);
  assert.equal(owner, stale, "the address is used again");
  heap.free(stale);
  heap.free(owner);
  assert.match(texts.at(-1) as string, /not a block now|double free .*neverUnmap: true makes sure/);
  const fresh = debug(createHeap(), { onReport, reportAtExit: false });
  const ptr = fresh.malloc(10);
  fresh.free(ptr);
  fresh.free(ptr);
  assert.match(texts.at(-1) as string, /^double free of the block of 10 bytes at 0x[0-9a-f]+$/);
});
