/** Programs of virtual threads about the hardened malloc: headers, quarantine, mistakes. */
import assert from "node:assert/strict";
import type { HardenedError } from "#src/sizeclass/index.js";
import { drop, dropAll, keep, keepMany, take } from "./step-blocks.js";
import { CELL_FREE, CELLS_EACH, type Program, type Thread } from "./steps.js";

/** With its header, the class of 1024. */
const BLOCK = 1000;
const QUARANTINE = { quarantineSizeKb: 4, threadLocalQuarantineSizeKb: 1 };

/** Passes on the address of a block, for all threads to free. */
function lend(t: Thread): void {
  keepMany(t, 1, BLOCK, 30);
  t.cells[CELL_FREE] = take(t, t.number, 30);
}

/** Frees that block, and counts the mistake. */
function mistake({ hard, cells, number }: Thread): void {
  try {
    hard?.free((cells[CELL_FREE] as number) >>> 0);
  } catch (error) {
    assert.equal((error as HardenedError).code, "ERR_BLOCK_STATE");
    cells[CELL_FREE + 1 + number]!++;
  }
}

const once = ({ cells }: Thread) => {
  const mistakes = [1, 2, 3].reduce((sum, i) => sum + cells[CELL_FREE + i]!, 0);
  assert.equal(mistakes, 1, "one of the two frees throws");
};

export const hardenedPrograms: Program[] = [
  {
    name: "hardened: two threads free one block",
    hardened: {},
    roles: [{ begin: lend, run: mistake }, { run: mistake }],
    check: once,
  },
  {
    name: "hardened: two threads free one block of a third, into the quarantine",
    hardened: QUARANTINE,
    roles: [
      { begin: lend, run: (t) => void keep(t, 0, BLOCK) },
      { run: mistake },
      { run: mistake },
    ],
    check: once,
  },
  {
    name: "hardened: realloc against a free by another thread of another block",
    hardened: {},
    roles: [
      {
        begin: (t) => {
          keepMany(t, 6, BLOCK);
          for (let slot = 2; slot < 6; slot++) drop(t, 0, slot);
        },
        run: (t) => {
          const p = take(t, 0, 0);
          t.hard?.free(t.hard.realloc(p, 2 * BLOCK));
        },
      },
      {
        begin: (t) => keepMany(t, 4, BLOCK),
        run: (t) => {
          drop(t, 0, 1);
          dropAll(t);
        },
      },
    ],
  },
  {
    name: "quarantine: two threads pass blocks to the list of all",
    hardened: { quarantineSizeKb: 64 },
    roles: [0, 1].map(() => ({
      begin: (t: Thread) => keepMany(t, 2, BLOCK),
      run: (t: Thread) => dropAll(t),
    })),
    check: ({ hard }) => {
      const { blocks, bytes, threadBlocks } = hard?.stats().quarantine ?? assert.fail();
      assert.ok(blocks <= 4 && bytes === blocks * BLOCK && threadBlocks === 0);
    },
  },
  {
    name: "quarantine: the list of all is over its budget while others use blocks",
    hardened: { quarantineSizeKb: 2 },
    roles: [
      { begin: (t) => keepMany(t, 4, BLOCK), run: (t) => dropAll(t) },
      {
        begin: (t) => keepMany(t, 1, BLOCK),
        run: (t) => {
          drop(t, 1, 0);
          keep(t, 1, BLOCK);
        },
      },
    ],
  },
  {
    name: "quarantine: drain against free, and a thread that detaches",
    hardened: QUARANTINE,
    roles: [
      {
        begin: (t) => {
          keepMany(t, 2, BLOCK);
          dropAll(t);
        },
        run: (t) => t.hard?.drain(),
      },
      {
        begin: (t) => keepMany(t, 2, BLOCK),
        run: (t) => dropAll(t),
      },
      {
        begin: (t) => {
          keepMany(t, 1, BLOCK);
          dropAll(t);
        },
        run: (t) => t.hard?.detach(),
      },
    ],
  },
  {
    name: "quarantine: a block is not reused while it is kept",
    hardened: { quarantineSizeKb: 64 },
    roles: [
      {
        begin: (t) => {
          keepMany(t, 1, BLOCK);
          t.cells[CELL_FREE] = t.cells[0] as number;
        },
        run: (t) => void drop(t, 0, 0),
      },
      {
        run: (t) => {
          for (let slot = 0; slot < 3; slot++) {
            const p = keep(t, slot, BLOCK);
            assert.notEqual(p, (t.cells[CELL_FREE] as number) >>> 0, "not yet");
            assert.ok(p === 0 || t.hard?.isOwned((t.cells[CELLS_EACH + slot] as number) >>> 0));
            if (slot === 0) drop(t, 1, slot);
          }
        },
      },
    ],
  },
];
