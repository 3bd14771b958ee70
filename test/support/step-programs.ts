/** Small programs of two or three threads, which combine all operations of threads. */
import assert from "node:assert/strict";
import { BIG, drop, dropAll, keep, keepMany, LARGE, MEDIUM } from "./step-blocks.js";
import { burials, ring } from "./step-programs-deaths.js";
import { memoryDeaths, memoryPrograms } from "./step-programs-memory.js";
import { BASE, CELL_FREE, CELL_THREADS, CELLS_EACH, type Program, type Thread } from "./steps.js";

export { burials, ring };

const detach = ({ core }: Thread) => core.threadDetach();

export const programs: Program[] = [
  {
    name: "a remote free against malloc",
    roles: [
      {
        begin: (t) => keepMany(t, 8, BIG),
        run: (t) => {
          keep(t, 10, BIG);
          keep(t, 11, BIG);
        },
      },
      {
        run: (t) => {
          drop(t, 0, 0);
          drop(t, 0, 5);
        },
      },
    ],
  },
  {
    name: "two remote frees against malloc of a full page",
    roles: [
      { begin: (t) => keepMany(t, 9, BIG), run: (t) => void keep(t, 20, BIG) },
      { run: (t) => void drop(t, 0, 1) },
      { run: (t) => void drop(t, 0, 2) },
    ],
  },
  {
    name: "remote frees against collect",
    roles: [
      { begin: (t) => keepMany(t, 9, BIG), run: (t) => t.core.heapCollect(true) },
      { run: (t) => dropAll(t, 0) },
    ],
  },
  {
    name: "remote frees against abandon",
    roles: [
      { begin: (t) => keepMany(t, 2, BIG), run: detach },
      {
        run: (t) => {
          drop(t, 0, 0);
          drop(t, 0, 1);
        },
      },
    ],
  },
  {
    name: "abandon of full pages against frees and allocation",
    roles: [
      { begin: (t) => keepMany(t, 17, BIG), run: detach },
      {
        run: (t) => {
          drop(t, 0, 3);
          drop(t, 0, 12);
          keep(t, 0, BIG);
        },
      },
    ],
  },
  {
    name: "abandon against remote frees by two",
    roles: [
      { begin: (t) => keepMany(t, 3, BIG), run: detach },
      { run: (t) => void drop(t, 0, 0) },
      { run: (t) => void drop(t, 0, 1) },
    ],
  },
  {
    name: "a free against a reclaim by allocation",
    roles: [
      {
        begin: (t) => {
          keepMany(t, 2, BIG);
          detach(t);
        },
        run: () => {},
      },
      { run: (t) => void drop(t, 0, 0) },
      { run: (t) => void keep(t, 0, BIG) },
    ],
  },
  {
    name: "a reclaim by allocation against a reclaim by collect",
    roles: [
      {
        begin: (t) => {
          keepMany(t, 2, BIG);
          detach(t);
        },
        run: () => {},
      },
      { run: (t) => t.core.heapCollect(true) },
      { run: (t) => void keep(t, 0, BIG) },
    ],
  },
  {
    name: "destroy against realloc and free of the dead heap's blocks",
    roles: [
      {
        begin: (t) => {
          keepMany(t, 1, BIG);
          keepMany(t, 1, MEDIUM, 1);
          keepMany(t, 1, LARGE, 2);
        },
        run: detach,
      },
      {
        run: (t) => {
          drop(t, 0, 2);
          drop(t, 0, 0);
          drop(t, 0, 1);
        },
      },
    ],
  },
  {
    name: "medium blocks: remote frees against allocation",
    roles: [
      {
        begin: (t) => keepMany(t, 6, MEDIUM),
        run: (t) => {
          drop(t, 0, 3);
          keep(t, 10, 30000);
        },
      },
      {
        run: (t) => {
          drop(t, 0, 0);
          drop(t, 0, 1);
        },
      },
    ],
  },
  {
    name: "the size of a medium block while its neighbours are allocated and freed",
    stores: true,
    roles: [
      {
        begin: (t) => keepMany(t, 3, MEDIUM),
        run: (t) => {
          drop(t, 0, 0);
          drop(t, 0, 2);
          keep(t, 0, MEDIUM);
        },
      },
      {
        run: (t) => {
          const p = (t.cells[1] as number) >>> 0;
          for (let i = 0; i < 3; i++) assert.equal(t.core.usableSize(p), t.hard ? MEDIUM : 20480);
        },
      },
    ],
  },
  {
    name: "row 79: two threads claim a run across words",
    slices: 96,
    maximum: 96,
    roles: [40, 20, 33].map((count) => ({
      run: (t: Thread) => {
        t.cells[CELL_FREE + 2 * t.number] = t.core.slicesAlloc(count, 1);
        t.cells[CELL_FREE + 2 * t.number + 1] = count;
      },
      end: (t: Thread) => {
        const slice = t.cells[CELL_FREE + 2 * t.number] as number;
        if (slice !== 0) t.core.slicesFree(0, slice, count);
      },
    })),
    check: ({ cells }) => {
      const taken = new Set<number>();
      for (let i = 0; i < 3; i++) {
        const slice = cells[CELL_FREE + 2 * i] as number;
        const count = slice === 0 ? 0 : (cells[CELL_FREE + 2 * i + 1] as number);
        for (let at = slice; at < slice + count; at++) {
          assert.ok(!taken.has(at), `slice ${at} is claimed twice`);
          taken.add(at);
        }
      }
      assert.ok(taken.size >= 20, "at least one thread has a run");
    },
  },
  {
    name: "row 79: threads claim a run, claim single slices, and free",
    slices: 58,
    maximum: 58,
    roles: [
      {
        run: (t) => {
          t.cells[CELL_FREE] = t.core.slicesAlloc(45, 1);
        },
        end: (t) => {
          if (t.cells[CELL_FREE]) t.core.slicesFree(0, t.cells[CELL_FREE] as number, 45);
        },
      },
      { run: (t) => keepMany(t, 2, BIG) },
      { begin: (t) => keepMany(t, 1, LARGE), run: (t) => dropAll(t) },
    ],
  },
  {
    name: "two threads claim the last run",
    slices: 17,
    maximum: 17,
    roles: [0, 1].map(() => ({
      run: (t: Thread) => {
        t.cells[CELL_FREE + t.number] = keep(t, 0, 8 * 65536) !== 0 ? 1 : 0;
      },
    })),
    check: ({ cells }) => {
      const got = (cells[CELL_FREE] as number) + (cells[CELL_FREE + 1] as number);
      assert.equal(got, 1, "one has it");
    },
  },
  {
    name: "growth against growth",
    slices: 6,
    maximum: 40,
    roles: [0, 1].map(() => ({ run: (t: Thread) => keepMany(t, 1, LARGE) })),
  },
  {
    name: "growth against growth and a free",
    slices: 12,
    maximum: 26,
    roles: [
      { begin: (t) => keepMany(t, 1, LARGE), run: (t) => void drop(t, 0, 0) },
      { run: (t) => keepMany(t, 1, LARGE) },
      { run: (t) => keepMany(t, 1, LARGE) },
    ],
  },
  {
    name: "threads that attach and detach",
    roles: [
      {
        run: (t) => {
          keep(t, 0, 100);
          detach(t);
        },
      },
      {
        begin: (t) => {
          keep(t, 0, 100);
          detach(t);
        },
        run: (t) => {
          const thread = t.core.threadIdDraw();
          t.cells[CELL_THREADS + t.number] = thread;
          assert.equal(t.core.threadAttach(BASE, thread), thread);
          drop(t, 0, 0);
          keep(t, 1, 100);
        },
      },
    ],
  },
  ...memoryPrograms,
];

/** What the thread does that dies; the others work on. */
export const deaths: Program[] = [
  {
    name: "small blocks",
    leak: 1,
    roles: [
      {
        begin: (t) => keepMany(t, 8, BIG),
        run: (t) => {
          drop(t, 0, 3);
          drop(t, 0, 4);
          keep(t, 20, BIG);
          keep(t, 21, BIG);
          keep(t, 22, BIG);
          drop(t, 0, 22);
          keep(t, 23, 100);
        },
      },
      { run: (t) => void drop(t, 0, 1) },
    ],
  },
  {
    name: "medium blocks",
    leak: 2,
    roles: [
      {
        begin: (t) => keepMany(t, 6, MEDIUM),
        run: (t) => {
          drop(t, 0, 3);
          keep(t, 20, 40000);
          drop(t, 0, 4);
          keep(t, 21, MEDIUM);
        },
      },
      { run: (t) => void drop(t, 0, 1) },
    ],
  },
  {
    name: "large blocks",
    leak: 5,
    roles: [
      {
        run: (t) => {
          keep(t, 0, LARGE);
          drop(t, 0, 0);
          keep(t, 1, LARGE);
        },
      },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
  },
  {
    name: "growth",
    slices: 6,
    maximum: 60,
    leak: 5,
    roles: [{ run: (t) => void keep(t, 0, LARGE) }, { run: (t) => void keep(t, 0, LARGE) }],
  },
  {
    name: "detach",
    leak: 1,
    roles: [
      {
        begin: (t) => {
          keepMany(t, 3, BIG);
          keepMany(t, 1, MEDIUM, 3);
          keepMany(t, 1, 100, 4);
        },
        run: detach,
      },
      { run: (t) => void drop(t, 0, 1) },
    ],
  },
  {
    name: "adoption of another's pages",
    leak: 2,
    roles: [
      { run: (t) => t.core.heapCollect(true) },
      {
        begin: (t) => {
          keepMany(t, 3, BIG);
          keepMany(t, 2, MEDIUM, 3);
          detach(t);
        },
        run: () => {},
      },
    ],
  },
  {
    name: "remote frees",
    leak: 1,
    roles: [
      {
        run: (t) => {
          drop(t, 1, 0);
          drop(t, 1, 8);
        },
      },
      {
        begin: (t) => keepMany(t, 9, BIG),
        run: (t) => void keep(t, 10, BIG),
      },
    ],
  },
  ...memoryDeaths,
];

/** Frees a block that stays in its cell, so that others can free it too. */
function release({ core, cells }: Thread, owner: number, slot: number): void {
  core.free((cells[owner * CELLS_EACH + slot] as number) >>> 0);
}

/** Empties the cells of blocks that were freed. */
function forget({ cells }: Thread, owner: number, slot: number): void {
  cells[owner * CELLS_EACH + slot] = 0;
}

/**
 * Mistakes that are reported to exactly one thread, in any order of events; for a hardened core.
 */
export const mistakes: Program[] = [
  {
    name: "two threads free a block of a third",
    reports: 1,
    roles: [
      { begin: (t) => keepMany(t, 3, BIG), run: () => {}, end: (t) => forget(t, 0, 1) },
      { run: (t) => release(t, 0, 1) },
      { run: (t) => release(t, 0, 1) },
    ],
  },
  {
    name: "a block is freed by its owner and by another thread",
    reports: 1,
    roles: [
      {
        begin: (t) => keepMany(t, 3, BIG),
        run: (t) => release(t, 0, 1),
        end: (t) => forget(t, 0, 1),
      },
      { run: (t) => release(t, 0, 1) },
    ],
  },
  {
    name: "a medium block is freed by two threads",
    reports: 1,
    roles: [
      { begin: (t) => keepMany(t, 3, MEDIUM), run: () => {}, end: (t) => forget(t, 0, 1) },
      { run: (t) => release(t, 0, 1) },
      { run: (t) => release(t, 0, 1) },
    ],
  },
  {
    name: "a block of a thread that ends is freed by two others",
    reports: 1,
    roles: [
      { begin: (t) => keepMany(t, 3, BIG), run: detach, end: (t) => forget(t, 0, 1) },
      { run: (t) => release(t, 0, 1) },
      { run: (t) => release(t, 0, 1) },
    ],
  },
  {
    name: "an overflow that another thread finds",
    reports: 1,
    roles: [
      {
        begin: (t) => {
          keepMany(t, 2, BIG);
          const p = (t.cells[1] as number) >>> 0;
          (t.words as Uint32Array)[(p + BIG) >>> 2] = 0;
        },
        run: (t) => void keep(t, 3, BIG),
      },
      { run: (t) => void drop(t, 0, 1) },
    ],
  },
];

/** For the test of the scheduler. */
const endless: Program = {
  name: "a thread that never ends",
  roles: [
    {
      run: ({ core }) => {
        for (;;) core.usableSize(65536);
      },
    },
  ],
};

export const allPrograms: readonly Program[] = [
  ...programs,
  ...deaths,
  ...burials,
  ...mistakes,
  ring,
  endless,
];
