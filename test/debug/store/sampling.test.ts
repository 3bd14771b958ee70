/** One allocation in N is guarded, the others go straight to the allocator below. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugAllocator, debug, type Report } from "#src/debug/index.js";
import { Large, NATURAL } from "#src/debug/store/block.js";
import { BlockTable } from "#src/debug/store/table.js";
import { createHeap, type Heap } from "#src/heap/index.js";
import { createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { type Profile, profiles, Shadow, step } from "../../support/model.js";
import { Random, seedOf } from "../../support/random.js";
import { livePtrs } from "../report/scenes.js";

function sampled(sampleEvery: number, seed: number, heap: Heap = createHeap()) {
  const reports: Report[] = [];
  const door = debug(heap, {
    sampleEvery,
    seed,
    reportAtExit: false,
    onReport: (report) => reports.push(report),
  });
  return { door, heap, reports, codes: () => reports.map(({ code }) => code) };
}

/** Which of `count` allocations are guarded. */
function choice(door: DebugAllocator, count: number): number[] {
  const ptrs = Array.from({ length: count }, () => door.malloc(24));
  const guarded = livePtrs(door);
  return ptrs.flatMap((ptr, index) => (guarded.has(ptr) ? [index] : []));
}

test("a seed makes the same choice every time, about one in N, in no pattern", () => {
  const chosen = choice(sampled(50, 7).door, 50_000);
  assert.deepEqual(choice(sampled(50, 7).door, 50_000), chosen);
  assert.notDeepEqual(choice(sampled(50, 8).door, 50_000), chosen);
  assert.ok(Math.abs(chosen.length - 1000) < 150, `${chosen.length} of 50 000`);
  const gaps = new Set(chosen.slice(1).map((at, index) => at - (chosen[index] as number)));
  assert.ok(gaps.size > 50);
  assert.ok(gaps.has(1));
});

test("guarded blocks are watched, the others are the allocator's below", () => {
  const { door, heap, codes } = sampled(10, 1);
  const ptrs = Array.from({ length: 1000 }, (_, i) => door.malloc(i % 9 === 0 ? 5000 : 40));
  const guarded = livePtrs(door);
  const plain = ptrs.filter((ptr) => !guarded.has(ptr));
  assert.ok(guarded.size > 50 && plain.length > 800);
  for (const ptr of ptrs) assert.ok(door.contains(ptr));
  for (const ptr of plain) {
    assert.equal(door.usableSize(ptr), heap.usableSize(ptr));
    const moved = door.realloc(ptr, 60);
    door.free(moved);
  }
  assert.equal(door.contains(24), false);
  assert.deepEqual(codes(), []);
  for (const ptr of guarded) {
    door.u8[ptr + door.usableSize(ptr)] = 1;
    door.free(ptr);
  }
  assert.deepEqual(codes(), Array(guarded.size).fill("ERR_WRITE_PAST_END"));
  const [again] = guarded;
  door.free(again as number);
  assert.equal(codes().at(-1), "ERR_DOUBLE_FREE");
  assert.equal(door.deinit(), "ok");
  assert.equal(heap.stats().blocks, 0);
});

test("what is no block is refused by the allocator below", () => {
  const { door } = sampled(2 ** 30, 1);
  assert.throws(() => door.free(8), { name: "HeapError", code: "ERR_FOREIGN_POINTER" });
  assert.throws(() => door.free("8" as never), TypeError);
  assert.throws(() => door.malloc(-1), RangeError);
});

test("cells forget what has left, however often it comes", () => {
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

test("leaks are found among the guarded", () => {
  const { door, reports } = sampled(100, 3);
  for (let i = 0; i < 10_000; i++) door.malloc(10);
  const { blocks } = door.stats();
  assert.equal(door.deinit(), "leak");
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
      const door = debug(below(), {
        sampleEvery,
        seed,
        reportAtExit: false,
        onReport: "throw",
        stackTraceFrames: 1,
      });
      const shadow = new Shadow({
        malloc: (size) => door.malloc(size),
        calloc: (count, size) => door.abi.calloc(count, size),
        memalign: (alignment, size) => door.memalign(alignment, size),
        realloc: (p, size) => door.realloc(p, size),
        free: (p) => (p % 32 === 0 ? door.abi.free(p) : door.free(p)),
        usableSize: (p) => door.usableSize(p),
        bytes: () => door.u8,
      });
      const random = new Random(seed);
      // A realloc by an allocator without memalign keeps no alignment.
      const profile = { ...(profiles[1] as Profile), memalign: name === "a heap" ? 5 : 0 };
      for (let i = 0; i < 2000; i++) step(shadow, profile, random);
      shadow.freeAll();
      assert.equal(door.deinit(), "ok");
    }
  });
}
