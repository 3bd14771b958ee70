/** Small programs of two or three threads, in which everything that threads can do meets. */
import assert from "node:assert/strict";
import { A_COMMITTED, A_COMMITTED_PEAK, A_PURGED, PAGES_DECOMMIT } from "#dist/core/layout.js";
import { BASE, CELL_FREE, CELLS_EACH, type Program, type Thread } from "./steps.js";

/** Eight of them fill a page. */
const BIG = 8000;
const MEDIUM = 20000;
const LARGE = 300000;

/** Allocates, writes a cookie, and puts the block in a cell of the thread; 0 = out of memory. */
export function keep({ core, words, cells, number }: Thread, slot: number, size: number): number {
  const p = core.malloc(size) >>> 0;
  if (p === 0) return 0;
  const cell = number * CELLS_EACH + slot;
  words.fill(cookie(p, cell), p >>> 2, (p + Math.min(size, 64)) >>> 2);
  words[(p + size - 4) >>> 2] = cookie(p, cell);
  Atomics.store(cells, cell, p | 0);
  return p;
}

function cookie(p: number, cell: number): number {
  return (p ^ (cell * 0x9e3779b9)) >>> 0;
}

/** Takes the block of any thread out of its cell and frees it; its cookie must still be there. */
export function drop({ core, words, cells }: Thread, owner: number, slot: number): boolean {
  const cell = owner * CELLS_EACH + slot;
  const p = Atomics.exchange(cells, cell, 0) >>> 0;
  if (p === 0) return false;
  assert.equal(words[p >>> 2], cookie(p, cell), `cookie of cell ${cell} at ${p}`);
  core.free(p);
  return true;
}

/** Frees all blocks of a thread that are in cells. */
export function dropAll(thread: Thread, owner = thread.number): void {
  for (let slot = 0; slot < CELLS_EACH; slot++) drop(thread, owner, slot);
}

function keepMany(thread: Thread, count: number, size: number, from = 0): void {
  for (let i = 0; i < count; i++) assert.ok(keep(thread, from + i, size), "room for the program");
}

/** Committed is what is dirty, and what is purged is what left it. */
function booksCheck({ core, words }: Thread): void {
  assert.ok(core.committedIsValid(), "committedIsValid");
  const word = (offset: number) => words[(BASE + offset) >>> 2] as number;
  assert.ok(word(A_COMMITTED_PEAK) >= word(A_COMMITTED));
}

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
    name: "the size of a medium block while its neighbours come and go",
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
          for (let i = 0; i < 3; i++) assert.equal(t.core.usableSize(p), 20480);
        },
      },
    ],
  },
  {
    name: "row 79: two claimers of a run across words",
    slices: 96,
    maximum: 96,
    roles: [40, 20, 33].map((count) => ({
      run: (t: Thread) => {
        t.cells[CELL_FREE + 2 * t.number] = t.core.slicesAlloc(count, 1);
        t.cells[CELL_FREE + 2 * t.number + 1] = count;
      },
      end: (t: Thread) => {
        const slice = t.cells[CELL_FREE + 2 * t.number] as number;
        if (slice !== 0) t.core.slicesFree(slice, count);
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
      assert.ok(taken.size >= 20, "somebody has a run");
    },
  },
  {
    name: "row 79: a claimer of a run, one of single slices, one that frees",
    slices: 58,
    maximum: 58,
    roles: [
      {
        run: (t) => {
          t.cells[CELL_FREE] = t.core.slicesAlloc(45, 1);
        },
        end: (t) => {
          if (t.cells[CELL_FREE]) t.core.slicesFree(t.cells[CELL_FREE] as number, 45);
        },
      },
      { run: (t) => keepMany(t, 2, BIG) },
      { begin: (t) => keepMany(t, 1, LARGE), run: (t) => dropAll(t) },
    ],
  },
  {
    name: "row 85: a purge against reuse of what it purges",
    slices: 30,
    maximum: 30,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 10, PAGES_DECOMMIT);
          keepMany(t, 3, LARGE);
          drop(t, 0, 0);
          drop(t, 0, 2);
        },
        run: (t) => t.core.purgeTick(),
      },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
    check: booksCheck,
  },
  {
    name: "row 85: a purge against a free that plans one, and a purge by force",
    slices: 30,
    maximum: 30,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 10, PAGES_DECOMMIT);
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
      booksCheck(t);
      assert.ok(t.words[(BASE + A_PURGED) >>> 2]! >= 5, "what waited is purged");
    },
  },
  {
    name: "two claimers of the last run",
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
    name: "threads that come and go",
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
          assert.notEqual(t.core.threadAttach(65536, 0), 0);
          drop(t, 0, 0);
          keep(t, 1, 100);
        },
      },
    ],
  },
];

/** What a thread does that dies on the way; the others work on. */
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
    name: "a purge",
    leak: 5,
    roles: [
      {
        begin: (t) => {
          t.core.purgeSet(1, 1, 10, PAGES_DECOMMIT);
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
];
