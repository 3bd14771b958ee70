/**
 * Programs in which a thread dies and the others continue. `leak` is
 * what docs/guide/sizeclass.md says of such a death.
 */
import { drop, dropAll, getMany, giveMany, keep, keepMany } from "./step-blocks.js";
import { BIG, CLASS_BIG, CLASS_SMALL, LARGE, SMALL } from "./step-sizes.js";
import { CELL_THREAD_IDS, type Program, type Thread } from "./steps.js";

/** A batch, and the block of the call. */
const BATCH = 2;
const BLOCK = 1;

const worker = (t: Thread) => {
  keep(t, 0, SMALL);
  drop(t, 1, 0);
};

export const deaths: Program[] = [
  {
    name: "death: malloc and free of chunks",
    leak: { chunks: BATCH + BLOCK },
    roles: [
      {
        begin: (t) => keepMany(t, 2, SMALL),
        run: (t) => {
          for (let slot = 2; slot < 7; slot++) keep(t, slot, SMALL);
          dropAll(t);
        },
      },
      { run: worker },
    ],
  },
  {
    name: "death: the first chunks of a class, shuffled, with metadata",
    options: { shuffle: true, seed: 3, metadataSize: 16 },
    leak: { chunks: BATCH },
    roles: [{ run: (t) => void keep(t, 0, SMALL) }, { run: worker }],
  },
  {
    name: "death: a release",
    options: { releaseInterval: 0 },
    leak: { chunks: 2 * BATCH },
    roles: [
      {
        begin: (t) => keepMany(t, 6, BIG),
        run: (t) => {
          // So that the array is not in the order in which it is rewritten.
          for (const slot of [3, 0, 5, 1, 4, 2]) drop(t, 0, slot);
          t.heap.drain();
          t.heap.primary.releaseAll();
        },
      },
      {
        run: (t) => {
          keep(t, 0, BIG);
          drop(t, 1, 0);
        },
      },
    ],
  },
  {
    name: "death: late chunks",
    leak: { chunks: BATCH + BLOCK },
    roles: [
      {
        begin: (t) => keepMany(t, 6, SMALL),
        run: (t) => {
          for (let slot = 0; slot < 5; slot++) drop(t, 0, slot);
          for (let slot = 10; slot < 14; slot++) keep(t, slot, SMALL);
        },
      },
      {
        begin: (t) => {
          keepMany(t, 6, SMALL);
          t.core.regionLock(CLASS_SMALL);
        },
        run: (t) => t.core.regionUnlock(CLASS_SMALL),
      },
    ],
  },
  {
    name: "death: a thread takes late chunks of others",
    leak: { chunks: BATCH + BLOCK },
    roles: [
      { run: (t) => void keep(t, 10, SMALL) },
      {
        begin: (t) => {
          t.core.regionLock(CLASS_SMALL);
          t.core.regionUnlock(CLASS_SMALL);
          keepMany(t, 6, SMALL);
          t.core.regionLock(CLASS_SMALL);
          dropAll(t);
          t.heap.drain();
          t.core.regionUnlock(CLASS_SMALL);
        },
        run: () => {},
      },
    ],
  },
  {
    name: "death: drain and detach",
    leak: { chunks: 2 * BATCH },
    roles: [
      {
        begin: (t) => {
          keepMany(t, 4, SMALL);
          keepMany(t, 4, BIG, 4);
          dropAll(t);
        },
        run: (t) => {
          t.heap.drain();
          t.heap.detach();
        },
      },
      { run: worker },
    ],
  },
  {
    name: "death: attach and detach",
    leak: { chunks: BATCH + BLOCK },
    roles: [
      {
        begin: (t) => t.heap.detach(),
        run: (t) => {
          t.attach();
          keep(t, 0, SMALL);
          drop(t, 0, 0);
          t.heap.detach();
        },
      },
      { run: worker },
    ],
  },
  {
    name: "death: force lock",
    roles: [
      {
        begin: (t) => keepMany(t, 1, SMALL),
        run: (t) => {
          t.heap.primary.forceLock();
          t.heap.primary.forceUnlock();
        },
      },
      { run: worker },
    ],
  },
  {
    name: "death: a thread recovers another",
    leak: { chunks: 2 * BATCH },
    roles: [
      { run: (t) => void t.heap.recover(t.cells[CELL_THREAD_IDS + 2] as number) },
      { run: worker },
      {
        begin: (t) => {
          keepMany(t, 4, SMALL);
          dropAll(t);
          t.core.regionLock(CLASS_BIG);
        },
        run: () => {},
        end: () => {},
      },
    ],
    check: (t) => void t.heap.recover(t.cells[CELL_THREAD_IDS + 2] as number),
  },
  {
    name: "death: getFrom and returnTo",
    leak: { chunks: 3 },
    roles: [
      {
        run: (t) => giveMany(t, CLASS_SMALL, getMany(t, CLASS_SMALL, 3)),
      },
      { run: worker },
    ],
  },
  {
    name: "death: large blocks",
    leak: { pages: 5 },
    roles: [
      {
        begin: (t) => keepMany(t, 2, LARGE),
        run: (t) => {
          drop(t, 0, 0);
          keep(t, 2, LARGE + 4096);
          drop(t, 0, 1);
        },
      },
      { run: (t) => void keep(t, 0, LARGE) },
    ],
  },
  {
    name: "death: a thread unmaps late mappings of others",
    leak: { pages: 4 },
    roles: [
      { run: (t) => void keep(t, 10, LARGE) },
      {
        begin: (t) => {
          keepMany(t, 3, LARGE);
          t.heap.primary.forceLock();
          dropAll(t);
          t.heap.primary.forceUnlock();
        },
        run: () => {},
      },
    ],
  },
  {
    name: "death: the quarantine, of a thread and of all",
    hardened: { quarantineSizeKb: 2, threadLocalQuarantineSizeKb: 1 },
    leak: { chunks: 5 },
    roles: [
      {
        begin: (t) => keepMany(t, 4, 1000),
        run: (t) => {
          dropAll(t);
          t.hard?.drain();
        },
      },
      {
        begin: (t) => keepMany(t, 9, 1000),
        run: (t) => dropAll(t),
      },
    ],
  },
];
