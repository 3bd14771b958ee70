/** Threads come and go, each detaches in order: the pages of those that ended do not pile up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { attachHeap, createSharedHeap, type SharedHeap } from "#src/heap/shared.js";
import { Random } from "../support/random.js";

/** Which of the two, the main thread or one of four that come and go, does a step. */
interface Roles {
  allocates(main: SharedHeap, other: SharedHeap, step: number): SharedHeap;
  frees(main: SharedHeap, other: SharedHeap, step: number): SharedHeap;
}

const both = (main: SharedHeap, other: SharedHeap, step: number) =>
  step % 20 === 0 ? main : other;
const programs: Record<string, Roles> = {
  "all threads allocate and free": { allocates: both, frees: both },
  "one thread lives on and only frees": { allocates: (_, other) => other, frees: (main) => main },
  "one thread lives on and only allocates": {
    allocates: (main) => main,
    frees: (_, other) => other,
  },
  "one thread lives on and does nothing": {
    allocates: (_, other) => other,
    frees: (_, other) => other,
  },
};

function sizeOf(random: Random): number {
  if (random.chance(60)) return random.between(16, 256);
  return random.chance(75) ? random.between(16, 8000) : random.between(8000, 64000);
}

/** 400 blocks at a time over `lives` lives; pages after the first 40 lives, and the most later. */
function run({ allocates, frees }: Roles, lives: number, steps: number, maximum: number) {
  const main = createSharedHeap({ maximum });
  const random = new Random(3);
  const blocks = new Array<number>(400).fill(0);
  let [first, most, failures] = [0, 0, 0];
  for (let life = 0; life < lives; life += 4) {
    const others = [0, 1, 2, 3].map(() => attachHeap(main.handle()));
    for (let step = 0; step < steps; step++) {
      const at = random.below(blocks.length);
      const other = others[step & 3] as SharedHeap;
      if (blocks[at]) frees(main, other, step).free(blocks[at] as number);
      blocks[at] = allocates(main, other, step).malloc(sizeOf(random));
      if (blocks[at] === 0) failures += 1;
    }
    for (const other of others) other.detach();
    const { pageBytes } = main.stats();
    if (life < 40) first = Math.max(first, pageBytes);
    else most = Math.max(most, pageBytes);
  }
  return { first, most, failures };
}

for (const [name, roles] of Object.entries(programs)) {
  test(`the pages of 1 200 ended threads do not pile up: ${name}`, () => {
    const { first, most, failures } = run(roles, 1200, 1200, 2 ** 26);
    assert.equal(failures, 0);
    assert.ok(most <= 2 * first, `${most} bytes of pages, at first ${first}`);
  });
}

test("over 10 000 lives of threads the pages stay within twice those of the first", () => {
  const roles = programs["all threads allocate and free"] as Roles;
  const { first, most, failures } = run(roles, 10_000, 160, 2 ** 26);
  assert.equal(failures, 0);
  assert.ok(most <= 2 * first, `${most} bytes of pages, at first ${first}`);
});

test("a sub-heap gets what is free in the other heaps of its memory", () => {
  const heap = createHeap({ maximum: 2 ** 21 });
  const other = heap.newHeap();
  for (const size of [100, 3000, 20000]) heap.free(heap.malloc(size));
  assert.notEqual(heap.stats().pageBytes, 0, "pages are kept for a while");
  while (other.malloc(65536) !== 0);
  const { freeBytes, blockBytes, pageBytes } = heap.stats();
  assert.deepEqual([freeBytes, pageBytes], [0, blockBytes]);
  const again = heap.newHeap();
  while (again.malloc(100) !== 0);
  other.destroy();
  assert.notEqual(again.malloc(100), 0);
});
