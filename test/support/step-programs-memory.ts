/** Programs of virtual threads about memory: purges, arenas, heaps that are made and ended. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import { BIG, drop, dropAll, keep, keepMany, LARGE, MEDIUM } from "./step-blocks.js";
import { BASE, CELL_FREE, type Program, type Thread } from "./steps.js";

/** Dirty slices count as committed, and purged slices do not. */
function countersCheck({ core, words }: Thread): void {
  assert.ok(core.committedIsValid(), "committedIsValid");
  const word = (offset: number) => words[(BASE + offset) >>> 2] as number;
  assert.ok(word(L.S_COMMITTED_PEAK) >= word(L.S_COMMITTED));
}

/** Works on a new heap of this thread with an arena, or with a budget of so many slices. */
function heapBegin({ core }: Thread, arena: number, most = 0): void {
  const heap = core.heapNew();
  assert.notEqual(heap, 0);
  if (arena !== 0 || most !== 0) assert.ok(core.heapLimit(heap, most, arena));
  core.heapBind(heap);
}

function keepRun({ core, cells, number }: Thread, count: number): void {
  cells[CELL_FREE + 2 * number] = core.slicesAlloc(count, 1);
  cells[CELL_FREE + 2 * number + 1] = count;
}

function dropRun({ core, cells, number }: Thread): void {
  const slice = cells[CELL_FREE + 2 * number] as number;
  if (slice !== 0) core.slicesFree(0, slice, cells[CELL_FREE + 2 * number + 1] as number);
}

export const memoryPrograms: Program[] = [
  {
    name: "row 85: a purge against reuse of the slices",
    slices: 30,
    maximum: 30,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 10, L.PAGES_DECOMMIT);
          keepMany(t, 3, LARGE);
          drop(t, 0, 0);
          drop(t, 0, 2);
        },
        run: (t) => t.core.purgeTick(),
      },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
    check: countersCheck,
  },
  {
    name: "row 85: a purge against a free that plans one, and a purge by force",
    slices: 30,
    maximum: 30,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 10, L.PAGES_DECOMMIT);
          keepMany(t, 3, LARGE);
          drop(t, 0, 0);
        },
        run: (t) => t.core.purgeTick(),
      },
      {
        run: (t) => {
          drop(t, 0, 2);
          t.core.purge(true);
        },
      },
    ],
    check: (t) => {
      countersCheck(t);
      assert.ok(t.words[(BASE + L.S_PURGED) >>> 2]! >= 5, "waiting slices are purged");
    },
  },
  {
    name: "row 79: heaps of one arena claim runs across words, and give one back",
    slices: 100,
    maximum: 100,
    roles: [
      {
        begin: (t) => {
          assert.equal(t.core.arenaMake(70, L.ARENA_EXCLUSIVE, L.NODE_ANY), 1);
          heapBegin(t, 1);
          keepRun(t, 5);
        },
        run: (t) => {
          t.core.slicesFree(0, t.cells[CELL_FREE] as number, 5);
          keepRun(t, 40);
        },
        end: dropRun,
      },
      {
        begin: (t) => heapBegin(t, 1),
        run: (t) => keepRun(t, 33),
        end: dropRun,
      },
    ],
    check: (t) => {
      const runs = [0, 1].map((i) => [CELL_FREE + 2 * i, CELL_FREE + 2 * i + 1]);
      const taken = runs.map(([slice, count]) => [t.cells[slice!]!, t.cells[count!]!]);
      const [a, b] = taken as [[number, number], [number, number]];
      assert.ok(a[0] !== 0 || b[0] !== 0, "one thread has its run");
      assert.ok(a[0] === 0 || b[0] === 0, "73 slices do not fit into 70");
    },
  },
  {
    name: "two threads make the first arenas",
    slices: 30,
    maximum: 30,
    roles: [0, 1].map(() => ({
      run: (t: Thread) => {
        const id = t.core.arenaMake(4, L.ARENA_EXCLUSIVE, L.NODE_ANY);
        assert.ok(id === 1 || id === 2);
      },
    })),
    // The slice of the slower thread stays counted as a table.
    check: ({ words }) => assert.equal(words[(BASE + L.S_ARENA_COUNT) >>> 2], 2),
  },
  {
    name: "row 79: the last slices of an arena that is not exclusive, and its purge",
    slices: 24,
    maximum: 24,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 1, L.PAGES_DECOMMIT);
          assert.equal(t.core.arenaMake(10, 0, L.NODE_ANY), 1);
          keepMany(t, 3, LARGE);
          drop(t, 0, 2);
        },
        run: (t) => t.core.purge(true),
      },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
    check: countersCheck,
  },
  {
    name: "heapDelete against frees of its blocks",
    roles: [
      {
        begin: (t) => {
          heapBegin(t, 0);
          keepMany(t, 9, BIG);
          keepMany(t, 2, MEDIUM, 9);
          keepMany(t, 2, LARGE, 11);
        },
        run: (t) => t.core.heapDelete(t.core.heapBound()),
      },
      {
        run: (t) => {
          drop(t, 0, 3);
          drop(t, 0, 11);
          drop(t, 0, 9);
        },
      },
    ],
  },
  {
    name: "a heap with a budget while another thread frees its large blocks",
    immortal: true,
    roles: [
      {
        begin: (t) => {
          heapBegin(t, 0, 10);
          keepMany(t, 2, LARGE);
        },
        run: (t) => void keep(t, 2, LARGE),
        end: (t) => {
          dropAll(t);
          keepMany(t, 2, LARGE);
          assert.equal(keep(t, 2, 100), 0, "ten slices are all there are");
          dropAll(t);
        },
      },
      { run: (t) => void drop(t, 0, 0) },
    ],
  },
  {
    name: "heapDelete of a heap with a budget, and a heap that takes its area",
    immortal: true,
    roles: [
      {
        begin: (t) => {
          heapBegin(t, 0, 10);
          keepMany(t, 1, LARGE);
        },
        run: (t) => {
          t.core.heapDelete(t.core.heapBound());
          heapBegin(t, 0, 10);
          keepMany(t, 1, LARGE, 1);
        },
        end: (t) => {
          keepMany(t, 1, LARGE, 2);
          assert.equal(keep(t, 3, LARGE), 0);
          dropAll(t);
        },
      },
      { run: (t) => void drop(t, 0, 0) },
    ],
  },
];

/** What the thread does that dies. */
export const memoryDeaths: Program[] = [
  {
    name: "a purge",
    leak: 5,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 10, L.PAGES_DECOMMIT);
          keepMany(t, 2, LARGE);
          drop(t, 0, 0);
        },
        run: (t) => {
          t.core.purgeTick();
          drop(t, 0, 1);
          t.core.purge(true);
        },
      },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
  },
];
