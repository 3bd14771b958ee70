/** One allocation in N is sampled, the others go straight to the allocator below. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugAllocator, debug, type Report } from "#src/debug/index.js";
import { NATURAL } from "#src/debug/store/block.js";
import { Large } from "#src/debug/store/large.js";
import { BlockTable } from "#src/debug/store/table.js";
import { createHeap, type Heap } from "#src/heap/index.js";
import { createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { type Profile, profiles, Shadow, step } from "../../support/model.js";
import { Random, seedOf } from "../../support/random.js";
import { livePtrs } from "../report/scene-calls.js";

function sampled(sampleEvery: number, seed: number, heap: Heap = createHeap()) {
  const reports: Report[] = [];
  const debugHeap = debug(heap, {
    sampleEvery,
    seed,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
  });
  return { debugHeap, heap, reports, codes: () => reports.map(({ code }) => code) };
}

/** Which of `count` allocations are sampled. */
function choice(debugHeap: DebugAllocator, count: number): number[] {
  const ptrs = Array.from({ length: count }, () => debugHeap.malloc(24));
  const chosen = livePtrs(debugHeap);
  return ptrs.flatMap((ptr, index) => (chosen.has(ptr) ? [index] : []));
}

test("a seed makes the same choice every time, about one in N, in no pattern", () => {
  const chosen = choice(sampled(50, 7).debugHeap, 50_000);
  assert.deepEqual(choice(sampled(50, 7).debugHeap, 50_000), chosen);
  assert.notDeepEqual(choice(sampled(50, 8).debugHeap, 50_000), chosen);
  assert.ok(Math.abs(chosen.length - 1000) < 150, `${chosen.length} of 50 000`);
  const gaps = new Set(chosen.slice(1).map((at, index) => at - (chosen[index] as number)));
  assert.ok(gaps.size > 50);
  assert.ok(gaps.has(1));
});

test("sampled blocks are checked, the others are those of the allocator below", () => {
  const { debugHeap, heap, codes } = sampled(10, 1);
  const ptrs = Array.from({ length: 1000 }, (_, i) => debugHeap.malloc(i % 9 === 0 ? 5000 : 40));
  const chosen = livePtrs(debugHeap);
  const others = ptrs.filter((ptr) => !chosen.has(ptr));
  assert.ok(chosen.size > 50 && others.length > 800);
  for (const ptr of ptrs) assert.ok(debugHeap.contains(ptr));
  for (const ptr of others) {
    assert.equal(debugHeap.usableSize(ptr), heap.usableSize(ptr));
    const moved = debugHeap.realloc(ptr, 60);
    debugHeap.free(moved);
  }
  assert.equal(debugHeap.contains(24), false);
  assert.deepEqual(codes(), []);
  for (const ptr of chosen) {
    debugHeap.u8[ptr + debugHeap.usableSize(ptr)] = 1;
    debugHeap.free(ptr);
  }
  assert.deepEqual(codes(), Array(chosen.size).fill("ERR_HEAP_OVERFLOW"));
  const [again] = chosen;
  debugHeap.free(again as number);
  assert.equal(codes().at(-1), "ERR_DOUBLE_FREE");
  assert.equal(debugHeap.destroy(), "ok");
  assert.equal(heap.stats().blocks, 0);
});

test("a pointer that is not a block is refused by the allocator below", () => {
  const { debugHeap } = sampled(2 ** 30, 1);
  assert.throws(() => debugHeap.free(8), { name: "HeapError", code: "ERR_NOT_A_BLOCK" });
  assert.throws(() => debugHeap.free("8" as never), TypeError);
  assert.throws(() => debugHeap.malloc(-1), RangeError);
});

test("cells are empty again after a block has left, however often one comes", () => {
  const table = new BlockTable(4096, true);
  const run = { raw: 8000, base: 8000, bytes: 9000, asked: 9000 };
  for (let round = 0; round < 300; round++) {
    const large = new Large(run, NATURAL);
    table.add(large);
    assert.deepEqual(
      [7999 - 1024, 8000, 16_999, 17_408].map((address) => table.filter?.isUnsampled(address)),
      [true, false, false, true],
    );
    assert.equal(table.covering(12_000), large);
    assert.equal(table.covering(17_000), undefined);
    table.remove(large);
    assert.equal(table.filter?.isUnsampled(8000), true);
    assert.equal(table.covering(12_000), undefined);
  }
});

test("leaks are found among the sampled blocks", () => {
  const { debugHeap, reports } = sampled(100, 3);
  for (let i = 0; i < 10_000; i++) debugHeap.malloc(10);
  const { blocks } = debugHeap.stats();
  assert.equal(debugHeap.destroy(), "leak");
  assert.equal(reports[0]?.message, `leak: ${blocks} blocks of ${10 * blocks} bytes never freed`);
  assert.ok(Math.abs(blocks - 100) < 40);
});

for (const [name, below] of [
  ["a heap", () => createHeap()],
  ["a composition", () => createAllocator(pipe(std(createHeap()), segregated()))],
  ["a pool", () => pipe(std(createHeap()), segregated())],
] as const) {
  test(`over ${name}: random runs with few and many samples keep blocks apart`, (t) => {
    const seed = seedOf(9600);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    for (const sampleEvery of [2, 7, 100]) {
      const debugHeap = debug(below(), {
        sampleEvery,
        seed,
        reportAtExit: false,
        onReport: "throw",
        stackTraceFrames: 1,
      });
      const shadow = new Shadow({
        malloc: (size) => debugHeap.malloc(size),
        calloc: (count, size) => debugHeap.abi.calloc(count, size),
        memalign: (alignment, size) => debugHeap.memalign(alignment, size),
        realloc: (p, size) => debugHeap.realloc(p, size),
        free: (p) => (p % 32 === 0 ? debugHeap.abi.free(p) : debugHeap.free(p)),
        usableSize: (p) => debugHeap.usableSize(p),
        bytes: () => debugHeap.u8,
      });
      const random = new Random(seed);
      // A realloc by an allocator without memalign keeps no alignment.
      const profile = { ...(profiles[1] as Profile), memalign: name === "a heap" ? 5 : 0 };
      for (let i = 0; i < 2000; i++) step(shadow, profile, random);
      shadow.freeAll();
      assert.equal(debugHeap.destroy(), "ok");
    }
  });
}
