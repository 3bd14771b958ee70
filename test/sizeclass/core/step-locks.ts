/** Programs of virtual threads about locks: those of a class, and all of them. */
import assert from "node:assert/strict";
import { cacheFill, drop, dropAll, keep, keepMany } from "./step-blocks.js";
import { CLASS_SMALL, SMALL, TWO } from "./step-sizes.js";
import { CELL_FREE, type Program, type Thread } from "./steps.js";

export const lockPrograms: Program[] = [
  {
    name: "threads without the lock leave chunks to its holder",
    roles: [
      ...[0, 1].map((role) => ({
        begin: (t: Thread) => cacheFill(t, SMALL),
        run: (t: Thread) => {
          drop(t, 2, role);
          t.heap.drain();
        },
      })),
      {
        begin: (t) => {
          keepMany(t, 3, SMALL);
          assert.ok(t.core.regionLock(CLASS_SMALL));
        },
        run: (t) => {
          t.core.regionUnlock(CLASS_SMALL);
          keep(t, 10, SMALL);
          keep(t, 11, SMALL);
        },
      },
    ],
  },
  {
    name: "force lock against threads that allocate and free",
    roles: [
      {
        run: (t) => {
          if (!t.heap.primary.forceLock()) return;
          const before = t.heap.primary.printStats();
          assert.equal(t.heap.primary.printStats(), before, "nothing moves");
          t.heap.primary.forceUnlock();
        },
      },
      {
        begin: (t) => keepMany(t, 5, SMALL),
        run: (t) => {
          dropAll(t);
          keep(t, 0, TWO);
        },
      },
    ],
  },
  {
    name: "two threads force the locks",
    roles: [0, 1].map(() => ({
      run: (t: Thread) => {
        if (!t.heap.primary.forceLock()) return;
        t.cells[CELL_FREE]!++;
        assert.equal(t.cells[CELL_FREE], 1, "one at a time");
        t.cells[CELL_FREE]!--;
        t.heap.primary.forceUnlock();
      },
    })),
  },
];
