/** Every composition: blocks do not overlap or change, and nothing is left in the source. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  createAllocator,
  formatTree,
  openRegion,
  type Pool,
  setGroundHeap,
  statsOf,
} from "#src/layers/index.js";
import { type Profile, profiles, Shadow, step, typedVerbs } from "../support/model.js";
import { Random, seedOf } from "../support/random.js";
import { alone, fixedSubjects, randomSubject, type Subject } from "./subjects.js";

const OPERATIONS = Number(process.env.TERRANE_OPERATIONS ?? 1500);
const RANDOM_SUBJECTS = 48;

/** Few live blocks of all sizes, so that pools that keep freed blocks stay small. */
function profile(name: string, live: number): Profile {
  const found = profiles.find((one) => one.name === name) as Profile;
  return { ...found, live };
}

const seed = seedOf(5000);
const random = Array.from({ length: RANDOM_SUBJECTS }, (_, i) => randomSubject(seed + i));

for (const subject of [...fixedSubjects, ...random]) {
  for (const [name, live] of [
    ["small", 300],
    ["mixed", 100],
  ] as const) {
    test(`${subject.name}, ${name} blocks`, (t) => {
      t.diagnostic(`TERRANE_SEED=${seed}`);
      run(subject, profile(name, live));
    });
  }
}

function run(subject: Subject, wanted: Profile): void {
  const heap = createHeap();
  const pool = subject.create(heap);
  const shadow = new Shadow(typedVerbs(createAllocator(pool)));
  const draw = new Random(seed);
  for (let i = 0; i < OPERATIONS; i++) step(shadow, wanted, draw);
  shadow.checkAll();
  assert.equal(shadow.refused, 0);
  shadow.freeAll();
  if (!subject.name.includes("arena") && !subject.name.includes("zone")) assertIdle(pool);
  pool.destroy();
  assertClosed(pool);
  assert.equal(heap.stats().blocks, 0, formatTree(pool));
}

const groundHeap = createHeap();
setGroundHeap(groundHeap);

for (const subject of [...alone, ...random]) {
  test(`${subject.name}, as a region`, (t) => {
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const region = openRegion(subject.create(groundHeap));
    const shadow = new Shadow(typedVerbs(region));
    const draw = new Random(seed);
    for (let i = 0; i < OPERATIONS; i++) step(shadow, profile("mixed", 100), draw);
    shadow.checkAll();
    assert.equal(shadow.refused, 0);
    assert.equal(region.stats().allocations - region.stats().frees, shadow.live.length);
    leakily(() => region.destroy());
    assert.equal(groundHeap.stats().blocks, 0, formatTree(region.pool));
  });
}

/** Every block was put, so the pool on top has no bytes in use. */
function assertIdle(pool: Pool): void {
  const counted = statsOf(pool);
  if (!counted) return;
  assert.equal(counted.allocations, counted.frees);
  assert.equal(counted.bytes, 0);
  assert.ok(counted.peak > 0);
}

/** After destroy no pool has bytes in use or bytes that it holds. */
function assertClosed(pool: Pool): void {
  const counted = statsOf(pool);
  assert.equal(counted?.bytes ?? 0, 0, formatTree(pool));
  assert.equal(counted?.held ?? 0, 0, formatTree(pool));
  for (const below of pool.below) assertClosed(below);
}

for (const subject of [...fixedSubjects, ...random]) {
  test(`${subject.name}: destroy drops live blocks, or leaves exactly those`, () => {
    const heap = createHeap();
    const pool = subject.create(heap);
    const ptrs = [1, 100, 5000, 70000].map((size) => [pool.get(size), size] as const);
    assert.ok(ptrs.every(([ptr]) => ptr !== 0));
    for (const [ptr, size] of ptrs) pool.memory.bytes().fill(255, ptr, ptr + size);
    leakily(() => pool.destroy());
    pool.destroy(); // must not give anything back twice
    if (pool.traits.drops) assert.equal(heap.stats().blocks, 0, formatTree(pool));
    else assert.ok(heap.stats().blocks <= ptrs.length, formatTree(pool));
  });

  test(`${subject.name}: a pool can be used again after destroy`, () => {
    const heap = createHeap();
    const pool = subject.create(heap);
    const mine = createAllocator(pool);
    for (let round = 0; round < 3; round++) {
      const ptrs = [10, 1000, 100000].map((size) => mine.calloc(1, size));
      assert.ok(ptrs.every((ptr) => ptr !== 0 && mine.u8[ptr] === 0));
      for (const ptr of ptrs) mine.u8.fill(7, ptr, ptr + mine.usableSize(ptr));
      for (const ptr of ptrs) mine.free(ptr);
      mine.destroy();
      assert.equal(heap.stats().blocks, 0, formatTree(pool));
    }
  });
}

/** Destroys something with blocks in use: check throws after it has given them back. */
function leakily(end: () => void): void {
  try {
    end();
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ERR_LEAK");
  }
}
