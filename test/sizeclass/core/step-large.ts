/** Programs of virtual threads about large blocks, each in a mapping of its own. */
import assert from "node:assert/strict";
import { drop, dropAll, keep, keepMany } from "./step-blocks.js";
import { LARGE } from "./step-sizes.js";
import { CELL_FREE, CELL_SLICES, CELLS_EACH, type Program, type Thread } from "./steps.js";

/** Units of the map of live memory in a slice. */
const UNITS = 128;

/** Grows the memory as other code would, which then owns the slice. */
function grow({ cells, live }: Thread): void {
  const slice = Atomics.add(cells, CELL_SLICES, 1);
  live.fill(-1, slice * UNITS, (slice + 1) * UNITS);
}

function growthForget({ live }: Thread): void {
  for (let i = 0; i < live.length; i++) if (live[i] === -1) live[i] = 0;
}

export const largePrograms: Program[] = [
  {
    name: "large blocks: two threads make the first ones",
    roles: [0, 1].map(() => ({ run: (t: Thread) => void keep(t, 0, LARGE) })),
  },
  {
    name: "large blocks: frees by other threads against mallocs",
    roles: [
      {
        begin: (t) => keepMany(t, 2, LARGE),
        run: (t) => {
          drop(t, 1, 0);
          keep(t, 10, 2 * LARGE);
        },
      },
      {
        begin: (t) => keepMany(t, 1, LARGE),
        run: (t) => {
          drop(t, 0, 0);
          drop(t, 0, 1);
          keep(t, 10, LARGE);
        },
      },
    ],
  },
  {
    name: "large blocks: the last run of pages",
    slices: 1,
    roles: [0, 1, 2].map((role) => ({
      run: (t: Thread) => {
        t.cells[CELL_FREE + role] = keep(t, 0, 2 * LARGE) === 0 ? 0 : 1;
      },
    })),
    check: ({ cells }) => {
      const got = [0, 1, 2].reduce((sum, role) => sum + cells[CELL_FREE + role]!, 0);
      assert.ok(got <= 2, "16 pages hold two of 7");
      assert.ok(got >= 1, "one thread gets one");
    },
  },
  {
    name: "large blocks: threads without the lock leave mappings to its holder",
    roles: [
      {
        begin: (t) => {
          keepMany(t, 3, LARGE);
          assert.ok(t.heap.primary.forceLock());
        },
        run: (t) => {
          t.heap.primary.forceUnlock();
          keep(t, 10, LARGE);
        },
      },
      {
        run: (t) => {
          drop(t, 0, 0);
          drop(t, 0, 1);
        },
      },
      {
        run: (t) => {
          drop(t, 0, 2);
          keep(t, 0, LARGE);
        },
      },
    ],
  },
  {
    name: "large blocks: other code grows the memory too",
    foreign: 16,
    roles: [
      {
        begin: (t) => keepMany(t, 3, LARGE),
        run: (t) => {
          keep(t, 10, LARGE);
          keep(t, 11, LARGE);
        },
      },
      { run: grow, end: growthForget },
      { run: (t) => void keep(t, 10, 2 * LARGE) },
    ],
  },
  {
    name: "large blocks: aligned to more than a page, resized",
    roles: [
      {
        run: (t) => {
          const p = keep(t, 0, LARGE, ({ heap }, size) => heap.memalign(16384, size));
          assert.equal(p % 16384, 0);
        },
      },
      {
        begin: (t) => keepMany(t, 1, LARGE),
        run: (t) => {
          const p = (t.cells[CELLS_EACH] as number) >>> 0;
          assert.equal(t.heap.usableSize(p), 12288);
          assert.equal(t.heap.blockBegin(p + 9000), p);
          keep(t, 1, 2 * LARGE);
          dropAll(t);
        },
      },
    ],
  },
  {
    name: "large blocks: a walk while they are allocated and freed",
    readsStats: true,
    roles: [
      {
        begin: (t) => keepMany(t, 2, LARGE),
        run: (t) => {
          t.heap.forEachBlock((p, size) => assert.ok(p > 0 && size >= 0));
          assert.ok(t.heap.stats().large.allocations >= 2);
        },
      },
      {
        run: (t) => {
          drop(t, 0, 0);
          keep(t, 0, LARGE);
        },
      },
    ],
  },
];
