/** Programs over regions on demand: regions that are added and released, and some others again. */
import assert from "node:assert/strict";
import { drop, dropAll, keep, keepMany } from "./step-blocks.js";
import { BIG, CLASS_BIG, LARGE, SMALL, TWO } from "./step-sizes.js";
import { onDemand, type Program, type Thread } from "./steps.js";

/** Space for what several classes take at a time. */
const SLICES = 4;

/** The same program over regions on demand. */
export function demanded(program: Program): Program {
  const name = `on demand: ${program.name}`;
  const options = { ...program.options, ...onDemand };
  if (options.metadataSize) options.regionSize *= 2;
  const leak = { ...program.leak, pages: options.regionSize / 4096 + 2 };
  return { ...program, name, slices: SLICES, options, leak };
}

const releases = { ...onDemand, releaseInterval: 0 };

/** Frees everything, so that a release finds every chunk free. */
function empty(t: Thread): void {
  dropAll(t);
  t.heap.drain();
}

/** Two batches, as in any drain; the pages of a region or of an array with its gap. */
const leak = { chunks: 4, pages: 4 };

export const demandPrograms: Program[] = [
  {
    name: "on demand: a class returns its regions while another takes some",
    options: releases,
    slices: SLICES,
    roles: [
      { begin: (t) => keepMany(t, 4, BIG), run: empty },
      {
        begin: (t) => keepMany(t, 1, TWO),
        run: (t) => {
          for (let slot = 1; slot < 10; slot++) keep(t, slot, TWO);
        },
      },
    ],
  },
  {
    name: "on demand: regions are released, and the class takes others",
    options: releases,
    slices: SLICES,
    roles: [
      { begin: (t) => keepMany(t, 4, BIG), run: empty },
      {
        run: (t) => {
          keep(t, 0, BIG);
          keep(t, 1, BIG);
          dropAll(t);
        },
      },
    ],
  },
  {
    name: "on demand: free regions between those with live chunks are released",
    options: releases,
    slices: SLICES,
    roles: [
      { begin: (t) => keepMany(t, 8, BIG), run: empty },
      {
        begin: (t) => {
          keepMany(t, 1, BIG);
          keepMany(t, 9, SMALL, 10);
        },
        run: (t) => {
          dropAll(t);
          keep(t, 0, BIG);
        },
      },
    ],
  },
  {
    name: "on demand: a large block takes the pages of released regions",
    options: releases,
    slices: SLICES,
    roles: [
      { begin: (t) => keepMany(t, 6, BIG), run: empty },
      {
        run: (t) => {
          keep(t, 0, LARGE);
          keep(t, 1, LARGE);
          drop(t, 1, 0);
        },
      },
    ],
  },
  {
    name: "on demand: two classes return their regions at once",
    options: releases,
    slices: SLICES,
    roles: [
      { begin: (t) => keepMany(t, 4, BIG), run: empty },
      { begin: (t) => keepMany(t, 8, TWO), run: empty },
    ],
  },
  {
    name: "on demand: regions with chunks on the late list stay",
    options: releases,
    slices: SLICES,
    roles: [
      { begin: (t) => keepMany(t, 4, BIG), run: empty },
      {
        begin: (t) => {
          keepMany(t, 4, BIG);
          assert.ok(t.core.regionLock(CLASS_BIG));
        },
        run: (t) => {
          t.core.regionUnlock(CLASS_BIG);
          empty(t);
        },
      },
    ],
  },
];

export const demandDeaths: Program[] = [
  {
    name: "death: on demand: regions are released",
    options: releases,
    slices: SLICES,
    leak,
    roles: [
      { begin: (t) => keepMany(t, 6, BIG), run: empty },
      {
        begin: (t) => keepMany(t, 1, TWO),
        run: (t) => {
          keep(t, 1, TWO);
          keep(t, 2, BIG);
        },
      },
    ],
  },
  {
    name: "death: on demand: some regions of a class are released",
    options: releases,
    slices: SLICES,
    leak,
    roles: [
      {
        begin: (t) => keepMany(t, 8, BIG),
        run: (t) => {
          for (const slot of [0, 1, 4, 5, 6]) drop(t, 0, slot);
          t.heap.drain();
          keep(t, 0, BIG);
        },
      },
      { begin: (t) => keepMany(t, 1, BIG), run: (t) => void keep(t, 1, SMALL) },
    ],
  },
];
