/** Small programs of two or three threads over the size classes. */
import assert from "node:assert/strict";
import { C_SLOTS, R_HINT } from "#src/sizeclass/core/layout.js";
import {
  type Allocate,
  cacheFill,
  drop,
  dropAll,
  getMany,
  giveMany,
  hold,
  keep,
  keepMany,
  take,
} from "./step-blocks.js";
import { hardenedPrograms } from "./step-hardened.js";
import { largePrograms } from "./step-large.js";
import { lockPrograms } from "./step-locks.js";
import { BIG, CLASS_BIG, CLASS_SMALL, HUGE, SMALL, TWO } from "./step-sizes.js";
import {
  CELL_FREE,
  CELL_FULL,
  CELL_THREAD_IDS,
  CELLS_EACH,
  type Program,
  type Thread,
} from "./steps.js";

const detach = ({ heap }: Thread) => heap.detach();

const aligned: Allocate = ({ heap }, size) => heap.memalign(1024, size);
const cMalloc: Allocate = ({ core }, size) => core.malloc(size) >>> 0;
const cCalloc: Allocate = ({ core }, size) => core.calloc(size / 4, 4) >>> 0;
const zeroed: Allocate = ({ heap, words }, size) => {
  const p = heap.zalloc(size);
  const block = words.subarray(p / 4, (p + (p === 0 ? 0 : size)) / 4);
  assert.ok(
    block.every((word) => word === 0),
    "zalloc",
  );
  return p;
};

/** Resizes a block of the thread. */
function resize(t: Thread, slot: number, size: number): void {
  const p = take(t, t.number, slot);
  const to = t.heap.realloc(p, size);
  assert.ok(to !== 0, "memory for the program");
  hold(t, t.number * CELLS_EACH + slot, to, size);
}

const recover = ({ heap, cells }: Thread, of: number) => heap.recover(cells[CELL_THREAD_IDS + of]!);

export const programs: Program[] = [
  {
    name: "two threads make the first chunks of a class",
    roles: [0, 1].map(() => ({ run: (t: Thread) => void keep(t, 0, SMALL) })),
  },
  {
    name: "row 120: caches refill and drain against each other",
    roles: [
      { begin: (t) => keepMany(t, 5, SMALL), run: (t) => dropAll(t) },
      {
        run: (t) => {
          for (let slot = 0; slot < 3; slot++) keep(t, slot, SMALL);
        },
      },
    ],
  },
  {
    name: "three threads take from one class, shuffled",
    options: { shuffle: true, seed: 7 },
    roles: [0, 1, 2].map(() => ({ run: (t: Thread) => void keep(t, 0, TWO) })),
  },
  {
    name: "threads free blocks of other threads",
    roles: [
      {
        begin: (t) => keepMany(t, 6, SMALL),
        run: (t) => {
          dropAll(t, 1);
          keep(t, 10, SMALL);
        },
      },
      {
        begin: (t) => keepMany(t, 6, SMALL),
        run: (t) => {
          dropAll(t, 0);
          keep(t, 10, SMALL);
        },
      },
    ],
  },
  {
    name: "blocks are passed from thread to thread",
    roles: [0, 1, 2].map((role) => ({
      begin: (t: Thread) => cacheFill(t, BIG),
      run: (t: Thread) => {
        keep(t, 0, BIG);
        drop(t, (role + 1) % 3, 0);
        keep(t, 1, BIG);
      },
    })),
  },
  {
    name: "a release against threads that allocate and free",
    options: { releaseInterval: 0 },
    roles: [
      {
        begin: (t) => keepMany(t, 5, BIG),
        run: (t) => dropAll(t),
      },
      {
        begin: (t) => keepMany(t, 3, BIG),
        run: (t) => {
          drop(t, 1, 0);
          keep(t, 10, BIG);
          keep(t, 11, BIG);
        },
      },
    ],
  },
  {
    name: "a release of pages in which others have chunks",
    options: { releaseInterval: 0 },
    roles: [
      {
        begin: (t) => keepMany(t, 12, SMALL),
        run: (t) => {
          for (let slot = 1; slot < 11; slot++) drop(t, 0, slot);
          t.heap.drain();
        },
      },
      {
        begin: (t) => keepMany(t, 9, SMALL),
        run: (t) => {
          for (let slot = 2; slot < 8; slot++) drop(t, 1, slot);
          keep(t, 10, SMALL);
        },
      },
    ],
  },
  {
    name: "two releases of a class, and a change of the interval",
    options: { releaseInterval: 1 },
    roles: [
      { begin: (t) => keepMany(t, 5, BIG), run: (t) => t.heap.primary.releaseAll() },
      {
        begin: (t) => {
          keepMany(t, 5, BIG);
          dropAll(t);
        },
        run: (t) => {
          t.heap.primary.releaseInterval = 0;
          dropAll(t, 0);
        },
      },
    ],
  },
  {
    name: "a release while chunks are on the late list",
    options: { releaseInterval: 0 },
    roles: [
      {
        begin: (t) => keepMany(t, 3, BIG),
        run: (t) => {
          dropAll(t);
          t.heap.drain();
        },
      },
      {
        begin: (t) => {
          keepMany(t, 4, BIG);
          assert.ok(t.core.regionLock(CLASS_BIG));
        },
        run: (t) => {
          t.core.regionUnlock(CLASS_BIG);
          dropAll(t);
          keep(t, 10, BIG);
        },
      },
    ],
  },
  ...lockPrograms,
  {
    name: "the last chunk of a class, and a thread that gets none",
    roles: [
      { begin: (t) => keepMany(t, 6, BIG), run: (t) => void keep(t, 10, BIG) },
      { run: (t) => void keep(t, 10, BIG) },
      { run: (t) => void keep(t, 10, BIG) },
    ],
    check: ({ cells }) => assert.ok((cells[CELL_FULL] as number) <= 1, "reported once"),
  },
  {
    name: "the last class is full: a mapping serves",
    roles: [
      {
        begin: (t) => keepMany(t, 2, HUGE),
        run: (t) => {
          keep(t, 10, HUGE);
          drop(t, 0, 0);
        },
      },
      {
        run: (t) => {
          keep(t, 0, HUGE);
          keep(t, 1, HUGE);
        },
      },
    ],
    check: ({ cells }) => assert.ok((cells[CELL_FULL] as number) <= 1, "reported once"),
  },
  {
    name: "getFrom and returnTo against caches",
    roles: [
      {
        begin: (t) => keepMany(t, 5, SMALL),
        run: (t) => dropAll(t),
      },
      {
        run: (t) => {
          const chunks = getMany(t, CLASS_SMALL, 3);
          chunks.forEach((p, i) => void hold(t, CELLS_EACH + i, p, SMALL));
          giveMany(
            t,
            CLASS_SMALL,
            chunks.map((_, i) => take(t, 1, i)),
          );
        },
      },
    ],
  },
  {
    name: "aligned, zeroed and resized blocks",
    roles: [
      {
        begin: (t) => keepMany(t, 1, SMALL),
        run: (t) => {
          keep(t, 1, 1000, aligned);
          resize(t, 0, 600);
          resize(t, 0, TWO);
        },
      },
      {
        begin: (t) => keepMany(t, 4, SMALL),
        run: (t) => {
          dropAll(t);
          keep(t, 0, SMALL, zeroed);
          keep(t, 1, TWO, zeroed);
        },
      },
    ],
  },
  {
    name: "C's functions, unchecked",
    roles: [
      {
        begin: (t) => cacheFill(t, SMALL),
        run: (t) => {
          keep(t, 0, SMALL, cMalloc);
          t.core.free(take(t, 1, 0));
          t.core.free(take(t, 0, 0));
        },
      },
      {
        begin: (t) => keepMany(t, 4, SMALL),
        run: (t) => {
          keep(t, 4, SMALL, cCalloc);
          for (let slot = 0; slot < 5; slot++) t.core.free(take(t, 1, slot));
        },
      },
    ],
  },
  {
    name: "metadata of chunks that two threads make",
    options: { metadataSize: 16 },
    roles: [0, 1].map(() => ({
      run: (t: Thread) => {
        for (let slot = 0; slot < 2; slot++) {
          const p = keep(t, slot, BIG);
          if (p !== 0) t.words[t.heap.metadata(p) >>> 2] = p;
        }
      },
      end: (t: Thread) => {
        for (let slot = 0; slot < 2; slot++) {
          const p = (t.cells[t.number * CELLS_EACH + slot] as number) >>> 0;
          if (p !== 0) assert.equal(t.words[t.heap.metadata(p) >>> 2], p, "metadata");
        }
      },
    })),
  },
  {
    name: "threads that come and go",
    roles: [
      {
        begin: (t) => cacheFill(t, SMALL),
        run: (t) => {
          detach(t);
          t.attach();
          keep(t, 0, SMALL);
        },
      },
      {
        begin: (t) => {
          keepMany(t, 1, SMALL);
          detach(t);
        },
        run: (t) => {
          t.attach();
          drop(t, 1, 0);
          keep(t, 1, SMALL);
        },
      },
    ],
    check: ({ heap, cells, words }) => {
      const threadIds = [0, 1].map((role) => cells[CELL_THREAD_IDS + role]!);
      const at = (heap.handle().geometry.control + C_SLOTS) / 4;
      const attached = [...words.subarray(at, at + 4)].filter((threadId) => threadId !== 0);
      assert.equal(new Set(attached).size, 3, "a thread slot each");
      assert.ok(threadIds.every((threadId) => attached.includes(threadId)));
    },
  },
  {
    name: "the cache of a dead thread is drained while others allocate and free",
    roles: [
      { run: (t) => void assert.equal(recover(t, 2), true) },
      {
        begin: (t) => keepMany(t, 5, SMALL),
        run: (t) => {
          dropAll(t);
          keep(t, 0, SMALL);
        },
      },
      { begin: (t) => cacheFill(t, SMALL), run: () => {} },
    ],
  },
  {
    name: "two threads recover a dead one",
    roles: [
      ...[0, 1].map((role) => ({
        run: (t: Thread) => {
          t.cells[CELL_FREE + role] = recover(t, 2) ? 1 : 0;
          keep(t, 0, SMALL);
        },
      })),
      {
        begin: (t) => {
          cacheFill(t, SMALL);
          assert.ok(t.core.regionLock(CLASS_SMALL));
        },
        run: () => {},
      },
    ],
    check: ({ cells }) => assert.equal(cells[CELL_FREE]! + cells[CELL_FREE + 1]!, 1, "once"),
  },
  {
    name: "statistics and walks while others work",
    readsStats: true,
    roles: [
      {
        run: (t) => {
          assert.equal(t.heap.primary.stats().length <= 3, true);
          assert.match(t.heap.printStats(), /SizeClassAllocator64/);
          t.heap.forEachBlock((p, size) => assert.ok(p > 0 && size > 0));
          assert.ok(t.core.regionWord(CLASS_SMALL, R_HINT) === 2);
        },
      },
      {
        begin: (t) => keepMany(t, 5, SMALL),
        run: (t) => {
          dropAll(t);
          keep(t, 0, BIG);
        },
      },
    ],
  },
  ...largePrograms,
  ...hardenedPrograms,
];
