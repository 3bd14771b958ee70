/**
 * The slices that are kept for chunk tables.
 *
 * A table never moves, since other threads may be reading it, and is never given back. A table in
 * the middle of the memory would divide what is free there for ever. So all tables that the memory
 * can need are put together, near its start, where it first grows beyond TABLES_FROM slices:
 *
 *   base
 *   +-------+---------------+-------------+-------------+-------------------------------+
 *   | state | first pages   | tables      | kept        | all other slices              |
 *   +-------+---------------+-------------+-------------+-------------------------------+
 *                                         ^ first       ^ end, of S_TABLES
 *
 * Kept slices count as slices of tables, and nothing is written to them: they are address space, a
 * 1024th of the most that the memory can have. When the memory cannot grow and a block has space
 * with them, they are given up. A table for which none is left is put at the end of the growth that
 * needs it.
 */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicCas, atomicLoad, atomicSwap, SHARED } from "../target/atomics.ts";
import { load32, memoryRefresh, memoryZero } from "../target/glue.ts";
import { slicesTake, slicesWereZero } from "./commit.ts";

/** 2 MiB: a small heap keeps nothing, and in a large one little lies before the tables. */
const TABLES_FROM: u32 = 32;
/** But at most a 128th of what the memory can have. */
const SHARE_SHIFT: u32 = 7;
const END_MASK: u32 = 0xffff;

/** How many slices to keep for tables when a memory has `end` slices; 0 = none, or none more. */
// @cold
export function tablesWanted(end: u32): u32 {
  const most: u32 = load32(stateBase, L.S_MOST);
  const share: u32 = most >>> SHARE_SHIFT;
  const from: u32 = share < TABLES_FROM ? share : TABLES_FROM;
  if (end <= (stateBase >>> L.SLICE_SHIFT) + from) return 0;
  if (atomicLoad(stateBase, L.S_TABLES) !== 0) return 0;
  return (most + (L.CHUNK_SLICES - 1)) >>> (L.CHUNK_SHIFT + 1);
}

/**
 * Keeps the slices [first, end) for tables, which count as such; false: another thread has already
 * kept some.
 */
export function tablesKeep(first: u32, end: u32): bool {
  return atomicCas(stateBase, L.S_TABLES, 0, ((first << 16) | end) >>> 0);
}

/** Number of kept slices. */
function tablesKept(): u32 {
  const kept: u32 = atomicLoad(stateBase, L.S_TABLES);
  return (kept & END_MASK) - (kept >>> 16);
}

/** Takes a slice that is kept for tables, or returns 0. */
// @cold
export function tableKept(): u32 {
  let kept: u32 = atomicLoad(stateBase, L.S_TABLES);
  while (kept >>> 16 !== (kept & END_MASK)) {
    if (atomicCas(stateBase, L.S_TABLES, kept, kept + 0x10000)) return kept >>> 16;
    kept = atomicLoad(stateBase, L.S_TABLES);
  }
  return 0;
}

/** The kept slices as `first << 16 | end`, or 0. */
// @cold
export function tablesUnused(): u32 {
  const kept: u32 = atomicLoad(stateBase, L.S_TABLES);
  return kept >>> 16 !== (kept & END_MASK) ? kept : 0;
}

/**
 * Takes the slices that tablesUnused has returned; false: another thread took one. They still count
 * as slices of tables. The next growth keeps others.
 */
export function tablesYield(kept: u32): bool {
  return atomicCas(stateBase, L.S_TABLES, kept, 0);
}

/** Slices needed for tables of the chunks that overlap [from, from + count), beyond kept ones. */
// @cold
export function tablesMissing(from: u32, count: u32): u32 {
  let tables: u32 = atomicLoad(stateBase, L.S_TABLE_SPARE) !== 0 ? 0 : 1;
  const last: u32 = (from + count) >>> L.CHUNK_SHIFT;
  for (let c: u32 = from >>> L.CHUNK_SHIFT; c <= last; c++) {
    if (atomicLoad(stateBase + (c << 2), L.S_CHUNKS) === 0) tables = tables + 1;
  }
  const slices: u32 = tables >>> 1;
  const kept: u32 = tablesKept();
  return slices > kept ? slices - kept : 0;
}

/**
 * Makes tables for the chunks that overlap [first, end), of kept slices or of those that end at
 * `at`. Returns where the tables before `at` begin, or 0 when one cannot be committed. If another
 * thread makes a table first, ours is the spare for the next chunk.
 */
export function tablesAdd(first: u32, end: u32, at: u32): u32 {
  let rest: u32 = at;
  const last: u32 = (end - 1) >>> L.CHUNK_SHIFT;
  for (let c: u32 = first >>> L.CHUNK_SHIFT; c <= last && rest > first; c++) {
    const entry: usize = stateBase + (c << 2);
    if (atomicLoad(entry, L.S_CHUNKS) !== 0) continue;
    if (SHARED) memoryRefresh();
    let table: usize = atomicSwap(stateBase, L.S_TABLE_SPARE, 0);
    if (table === 0) {
      const kept: u32 = tableKept();
      if (kept === 0) rest = rest - 1;
      table = tableSlice(kept !== 0 ? kept : rest);
      if (table === 0) return 0;
    }
    if (!atomicCas(entry, L.S_CHUNKS, 0, table)) atomicSwap(stateBase, L.S_TABLE_SPARE, table);
  }
  return rest;
}

/** Makes a slice two tables of zeros: one, and the spare. 0 = it cannot be committed. */
export function tableSlice(slice: u32): usize {
  const table: usize = (slice << L.SLICE_SHIFT) >>> 0;
  if (!slicesTake(slice, 1)) return 0;
  if (!slicesWereZero) memoryZero(table, L.SLICE_SIZE);
  atomicSwap(stateBase, L.S_TABLE_SPARE, table + L.CHUNK_TABLE_SIZE);
  return table;
}
