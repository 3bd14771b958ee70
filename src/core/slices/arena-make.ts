/** How arenas are made: of free slices and growth, or of memory that a caller gives. */

import { bitsSet, descOf } from "../layout/desc.ts";
import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import {
  atomicAdd,
  atomicCas,
  atomicLoad,
  atomicStore,
  atomicSwap,
  SHARED,
} from "../target/atomics.ts";
import { load32, store32 } from "../target/glue.ts";
import { arenaBits, arenaRecord } from "./arenas.ts";
import { committedAdd, pageSlicesAdd, slicesTake, wordRaise } from "./commit.ts";
import { runPut } from "./runs.ts";
import { slicesClaim, slicesRelease } from "./slices.ts";
import { tableSliceAlloc } from "./supply.ts";
import { tableKept, tableSlice } from "./tables.ts";

/**
 * Makes an arena of `count` slices that are free or that the memory grows by. `flags` are those of
 * a record, and ARENA_COMMITTED: commits all of it at once. Returns the arena's id, or 0 = out of
 * memory, or ARENAS_MAX arenas exist.
 */
export function arenaMake(count: u32, flags: u32, node: u32): u32 {
  if (!arenasBegin()) return 0;
  const first: u32 = slicesClaim(count, false);
  if (first === 0) return 0;
  const asks: bool =
    load32(stateBase, L.S_COMMIT_NEEDED) !== 0 && (flags & L.ARENA_COMMITTED) !== 0;
  const id: u32 = asks && !slicesTake(first, count) ? 0 : idDraw();
  if (id === 0) {
    slicesRelease(first, count);
    return 0;
  }
  // Before the record: else a death in between would leave free slices counted as pages.
  pageSlicesAdd((0 - count) >>> 0);
  recordFill(id, first, count, flags, node);
  return id;
}

/**
 * Makes an arena of the slices [first, first + count), which belong to no heap. Slice 0 cannot be
 * among them. Returns as arenaMake.
 */
export function arenaGive(first: u32, count: u32, flags: u32, node: u32): u32 {
  if (!arenasBegin() || !tablesEnsure(first, first + count)) return 0;
  const id: u32 = idDraw();
  if (id === 0) return 0;
  wordRaise(stateBase + L.S_TOP, first + count);
  atomicAdd(stateBase, L.S_OWN_SLICES, count);
  if (isWritten(flags)) committedAdd(bitsSet(stateBase + L.STATE_DIRTY, first, count));
  if (SHARED) for (let i: u32 = 0; i < count; i++) store32(descOf(first + i), L.D_BIN, L.BIN_OURS);
  recordFill(id, first, count, flags, node);
  return id;
}

/**
 * Whether given slices count as dirty: if commits are needed, the committed ones; else those that
 * are not zero.
 */
function isWritten(flags: u32): bool {
  if (load32(stateBase, L.S_COMMIT_NEEDED) !== 0) return (flags & L.ARENA_COMMITTED) !== 0;
  return (flags & L.ARENA_ZEROED) === 0;
}

/** Takes the slice for the arenas' records, if there is none yet; false = out of memory. */
function arenasBegin(): bool {
  if (arenaBits() !== 0) return true;
  const at: usize = tableSliceAlloc();
  if (at === 0) return false;
  // If another thread was faster, its slice is used and ours stays unused.
  atomicCas(stateBase, L.S_ARENAS, 0, at);
  return true;
}

/** Returns an id for a new arena, from 1 on; 0 = all are used. */
// @cold
function idDraw(): u32 {
  let count: u32 = atomicLoad(stateBase, L.S_ARENA_COUNT);
  while (count < L.ARENAS_MAX) {
    if (atomicCas(stateBase, L.S_ARENA_COUNT, count, count + 1)) return count + 1;
    count = atomicLoad(stateBase, L.S_ARENA_COUNT);
  }
  return 0;
}

function recordFill(id: u32, first: u32, count: u32, flags: u32, node: u32): void {
  const record: usize = arenaRecord(id - 1);
  store32(record, L.A_FIRST, first);
  store32(record, L.A_FLAGS, flags);
  store32(record, L.A_NODE, node);
  atomicStore(record, L.A_COUNT, count);
  runPut(arenaBits(), first, count);
}

/** Makes tables for all chunks that overlap [first, end). */
function tablesEnsure(first: u32, end: u32): bool {
  const last: u32 = (end - 1) >>> L.CHUNK_SHIFT;
  for (let chunk: u32 = first >>> L.CHUNK_SHIFT; chunk <= last; chunk++) {
    const entry: usize = stateBase + (chunk << 2);
    if (atomicLoad(entry, L.S_CHUNKS) !== 0) continue;
    const table: usize = tableTake();
    if (table === 0) return false;
    if (!atomicCas(entry, L.S_CHUNKS, 0, table)) atomicSwap(stateBase, L.S_TABLE_SPARE, table);
  }
  return true;
}

/** Half a slice of zeros, or 0. The other half is the spare. */
function tableTake(): usize {
  const spare: usize = atomicSwap(stateBase, L.S_TABLE_SPARE, 0);
  if (spare !== 0) return spare;
  const kept: u32 = tableKept();
  if (kept !== 0) return tableSlice(kept);
  const table: usize = tableSliceAlloc();
  if (table !== 0) atomicSwap(stateBase, L.S_TABLE_SPARE, table + L.CHUNK_TABLE_SIZE);
  return table;
}
