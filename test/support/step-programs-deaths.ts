/** Programs in which threads die, and others recover what they left while the rest works on. */
import assert from "node:assert/strict";
import { BIG, drop, dropAll, keep, keepMany, LARGE, MEDIUM } from "./step-blocks.js";
import { CELL_THREADS, CELLS_EACH, type Program, type Thread } from "./steps.js";

/** Recovers all threads that have died, the last first: it may have been recovering another. */
function recoverAll({ core, cells, dead }: Thread): void {
  for (let role = 2; role >= 0; role--) {
    if (((dead() >>> role) & 1) !== 0) core.threadRecover(cells[CELL_THREADS + role] as number);
  }
}

/** Resizes the block of a cell in place, so that others may free it at any time. */
function resize({ core, cells, number }: Thread, slot: number, size: number): void {
  const p = (cells[number * CELLS_EACH + slot] as number) >>> 0;
  assert.equal(core.realloc(p, size) >>> 0, p, "in place");
}

const worksOnSmall = {
  begin: (t: Thread) => keepMany(t, 9, BIG),
  run: (t: Thread) => {
    drop(t, 0, 2);
    drop(t, 0, 3);
    keep(t, 20, BIG);
    keep(t, 21, BIG);
    drop(t, 0, 21);
    keep(t, 22, 100);
  },
};

const worksOnMedium = {
  begin: (t: Thread) => keepMany(t, 6, MEDIUM),
  run: (t: Thread) => {
    drop(t, 0, 3);
    keep(t, 20, 40000);
    drop(t, 0, 4);
    keep(t, 21, MEDIUM);
  },
};

export const burials: Program[] = [
  {
    name: "a recovery against frees in the dead thread's pages",
    roles: [worksOnSmall, { run: recoverAll }, { run: (t) => [0, 5, 8].map((i) => drop(t, 0, i)) }],
  },
  {
    name: "a recovery against frees of the dead thread's medium blocks",
    roles: [worksOnMedium, { run: recoverAll }, { run: (t) => [0, 5].map((i) => drop(t, 0, i)) }],
  },
  {
    name: "two recoveries of one thread",
    roles: [worksOnSmall, { run: recoverAll }, { run: recoverAll }],
  },
  {
    name: "a recovery against adoption of what it gives up",
    roles: [
      worksOnSmall,
      { run: recoverAll },
      {
        run: (t) => {
          keep(t, 0, BIG);
          t.core.heapCollect(true);
        },
      },
    ],
  },
  {
    name: "a recovery of a thread that was detaching",
    roles: [
      { begin: worksOnSmall.begin, run: (t) => t.core.threadDetach() },
      { run: recoverAll },
      { run: (t) => void drop(t, 0, 8) },
    ],
  },
  {
    name: "a recovery of a thread that was taking remote frees",
    roles: [
      { begin: worksOnSmall.begin, run: (t) => t.core.heapCollect(true) },
      { run: (t) => [0, 1, 2, 8].map((i) => drop(t, 0, i)) },
      { run: recoverAll },
    ],
  },
  {
    name: "a recovery of a thread that was growing the memory",
    slices: 8,
    maximum: 60,
    roles: [
      { run: (t) => void keep(t, 0, LARGE) },
      { run: recoverAll },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
  },
  {
    name: "large blocks that shrink and grow in place",
    roles: [
      {
        begin: (t) => keepMany(t, 1, LARGE),
        run: (t) => {
          resize(t, 0, LARGE / 3);
          resize(t, 0, LARGE);
        },
      },
      { run: recoverAll },
    ],
  },
  {
    name: "medium blocks that shrink and grow in place",
    roles: [
      {
        begin: (t) => {
          keepMany(t, 3, MEDIUM);
          drop(t, 0, 1);
        },
        run: (t) => {
          resize(t, 0, MEDIUM + 4000);
          resize(t, 0, MEDIUM / 2 - 10);
          resize(t, 2, MEDIUM * 3);
        },
      },
      { run: recoverAll, end: (t) => dropAll(t) },
    ],
  },
];

/**
 * A mistake of the program that makes a list of remote frees a ring. The unhardened core drops it.
 */
export const ring: Program = {
  name: "a block that another thread has freed twice",
  lost: 1,
  roles: [
    {
      begin: (t) => keepMany(t, 4, BIG),
      run: (t) => {
        drop(t, 0, 3);
        t.core.heapCollect(true);
      },
    },
    {
      begin: ({ core, cells }) => {
        const p = (cells[0] as number) >>> 0;
        core.free(p);
        core.free(p);
        cells[0] = 0;
      },
      run: () => {},
    },
  ],
};
