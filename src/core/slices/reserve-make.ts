/** How reserves come into being: of free slices and growth, or of memory that a caller gives. */

import { bitsSet, descOf } from "../layout/desc.ts";
import {
  A_CHUNKS,
  A_COMMIT_NEEDED,
  A_OWN_SLICES,
  A_RESERVE_COUNT,
  A_RESERVES,
  A_TABLE_SPARE,
  A_TOP,
  BIN_OURS,
  CHUNK_SHIFT,
  CHUNK_TABLE_SIZE,
  D_BIN,
  R_COUNT,
  R_FIRST,
  R_FLAGS,
  R_NODE,
  RESERVE_COMMITTED,
  RESERVE_ZEROED,
  RESERVES_MAX,
  SLICE_SIZE,
  STATE_DIRTY,
} from "../layout/layout.ts";
import { arenaBase } from "../layout/state.ts";
import {
  atomicAdd,
  atomicCas,
  atomicLoad,
  atomicStore,
  atomicSwap,
  SHARED,
} from "../target/atomics.ts";
import { load32, store32 } from "../target/glue.ts";
import { committedAdd, pageSlicesAdd, slicesTake, wordRaise } from "./commit.ts";
import { reserveBits, reserveRecord } from "./reserves.ts";
import { runPut } from "./runs.ts";
import { slicesClaim, slicesRelease } from "./slices.ts";
import { tableSliceAlloc } from "./supply.ts";

/**
 * Sets `count` slices apart that are free now, or that the memory grows by. `flags` are those of a
 * record, and RESERVE_COMMITTED: commits all of it at once. Answers the reserve's id, or 0 = out of
 * memory, or RESERVES_MAX are there.
 */
export function reserveMake(count: u32, flags: u32, node: u32): u32 {
  if (!reservesBegin()) return 0;
  const first: u32 = slicesClaim(count, false);
  if (first === 0) return 0;
  const asks: bool = load32(arenaBase, A_COMMIT_NEEDED) !== 0 && (flags & RESERVE_COMMITTED) !== 0;
  const id: u32 = asks && !slicesTake(first, count) ? 0 : idDraw();
  if (id === 0) {
    slicesRelease(first, count);
    return 0;
  }
  // First: slices that are free and counted as pages would stay so after a death in between.
  pageSlicesAdd((0 - count) >>> 0);
  recordFill(id, first, count, flags, node);
  return id;
}

/**
 * Takes the slices [first, first + count) of the memory, which are nobody's, under management as a
 * reserve. Slice 0 cannot be among them. Answers as reserveMake.
 */
export function reserveGive(first: u32, count: u32, flags: u32, node: u32): u32 {
  if (!reservesBegin() || !tablesEnsure(first, first + count)) return 0;
  const id: u32 = idDraw();
  if (id === 0) return 0;
  wordRaise(arenaBase + A_TOP, first + count);
  atomicAdd(arenaBase, A_OWN_SLICES, count);
  if (isWritten(flags)) committedAdd(bitsSet(arenaBase + STATE_DIRTY, first, count));
  if (SHARED) for (let i: u32 = 0; i < count; i++) store32(descOf(first + i), D_BIN, BIN_OURS);
  recordFill(id, first, count, flags, node);
  return id;
}

/** Whether given slices count as dirty: committed where that is needed, else not zero. */
function isWritten(flags: u32): bool {
  if (load32(arenaBase, A_COMMIT_NEEDED) !== 0) return (flags & RESERVE_COMMITTED) !== 0;
  return (flags & RESERVE_ZEROED) === 0;
}

/** The slice of all reserves is there, or cannot be had. */
function reservesBegin(): bool {
  if (reserveBits() !== 0) return true;
  const at: usize = tableSliceAlloc();
  if (at === 0) return false;
  // A thread that was quicker has made one too: ours stays unused.
  atomicCas(arenaBase, A_RESERVES, 0, at);
  return true;
}

/** An id for a new reserve, from 1 on; 0 = all are given. */
// @cold
function idDraw(): u32 {
  let count: u32 = atomicLoad(arenaBase, A_RESERVE_COUNT);
  while (count < RESERVES_MAX) {
    if (atomicCas(arenaBase, A_RESERVE_COUNT, count, count + 1)) return count + 1;
    count = atomicLoad(arenaBase, A_RESERVE_COUNT);
  }
  return 0;
}

function recordFill(id: u32, first: u32, count: u32, flags: u32, node: u32): void {
  const record: usize = reserveRecord(id - 1);
  store32(record, R_FIRST, first);
  store32(record, R_FLAGS, flags);
  store32(record, R_NODE, node);
  atomicStore(record, R_COUNT, count);
  runPut(reserveBits(), first, count);
}

/** Tables for all chunks that [first, end) enters. */
function tablesEnsure(first: u32, end: u32): bool {
  const last: u32 = (end - 1) >>> CHUNK_SHIFT;
  for (let chunk: u32 = first >>> CHUNK_SHIFT; chunk <= last; chunk++) {
    const entry: usize = arenaBase + (chunk << 2);
    if (atomicLoad(entry, A_CHUNKS) !== 0) continue;
    const table: usize = tableTake();
    if (table === 0) return false;
    if (!atomicCas(entry, A_CHUNKS, 0, table)) atomicSwap(arenaBase, A_TABLE_SPARE, table);
  }
  return true;
}

/** Half a slice of zeros, or 0; in a heap for one thread the spare may be a whole one. */
function tableTake(): usize {
  const spare: usize = atomicSwap(arenaBase, A_TABLE_SPARE, 0);
  const table: usize = spare !== 0 ? spare : tableSliceAlloc();
  const whole: bool = spare === 0 || (!SHARED && (spare & (SLICE_SIZE - 1)) === 0);
  if (table !== 0 && whole) atomicSwap(arenaBase, A_TABLE_SPARE, table + CHUNK_TABLE_SIZE);
  return table;
}
