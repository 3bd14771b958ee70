/**
 * Runs of slices for threads that share a state: replaces slices.ts in the shared build.
 *
 * A bitmap marks the free slices: see runs.ts. The spans of slices.ts would need a lock for their
 * lists, which a terminated thread would never release. The cost is a scan: some 30 words for 64
 * MiB.
 *
 *   free slices + slices of pages + slices of tables + 5 == slices of the state
 *
 * Slices that a terminated thread was claiming, giving back or adding are in none of these sums;
 * lostCollect in threads.ts recovers them.
 */

import { bitIsSet, chunkTable, descOf } from "../layout/desc.ts";
import { heapBase, heapId, stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicAdd, atomicCas, atomicLoad } from "../target/atomics.ts";
import { load32, memoryGrow, memoryReach, memorySlices, store32 } from "../target/glue.ts";
import { arenaExtend, arenaIsFree, arenaPut, arenasClaim } from "./arena-runs.ts";
import { arenaAt, arenaBits } from "./arenas.ts";
import { pageSlicesAdd, wordRaise } from "./commit.ts";
import { runClaim, runFind, runIsFree, runPut, runsPurge } from "./runs.ts";
import {
  tablesAdd,
  tablesKeep,
  tablesMissing,
  tablesUnused,
  tablesWanted,
  tablesYield,
} from "./tables.ts";

/** Reads of the grower's word, some microseconds, before this thread grows without its turn. */
const GROW_LOOKS: u32 = 2000;
/** Growths by other threads that an allocation waits for. */
const GROW_TURNS: u32 = 4;

/** The bitmap of free slices outside arenas. */
function freeSlices(): usize {
  return stateBase + L.STATE_FREE;
}

/** As runFind from this heap's hint on, then from the beginning. */
function runFindNear(count: u32): u32 {
  const hint: u32 = load32(heapBase, L.H_HINT);
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  const slice: u32 = runFind(freeSlices(), hint << 5, top, count);
  return slice !== 0 || hint === 0 ? slice : runFind(freeSlices(), 0, top, count);
}

/** Claims a run that exists, or returns 0. A claim fails only if another thread has claimed. */
function runTake(count: u32): u32 {
  let slice: u32 = runFindNear(count);
  while (slice !== 0 && !runClaim(freeSlices(), slice, count)) slice = runFindNear(count);
  if (slice === 0) return 0;
  memoryReach(atomicLoad(stateBase, L.S_TOP));
  if (count === 1) store32(heapBase, L.H_HINT, slice >>> 5);
  pageSlicesAdd(count);
  return slice;
}

/**
 * Claims a run of `count` slices, or returns 0; with `arenas` also of arenas that are not
 * exclusive. The caller must take it (slicesTake) before use.
 */
export function slicesClaim(count: u32, arenas: bool): u32 {
  for (let turn: u32 = 0; turn < GROW_TURNS; turn++) {
    let slice: u32 = runTake(count);
    if (slice === 0 && arenas && arenaBits() !== 0) slice = arenasClaim(count);
    if (slice !== 0) return slice;
    if (!slicesGrow(count, turn)) break;
  }
  return runTake(count);
}

/** Whether the memory must grow for a run of `count` slices. */
export function slicesWouldGrow(count: u32): bool {
  return runFindNear(count) === 0;
}

/** Whether a run of `count` slices would need memory that was never used. */
export function slicesWouldTouch(count: u32): bool {
  const slice: u32 = runFindNear(count);
  return slice === 0 || !bitIsSet(stateBase + L.STATE_DIRTY, slice);
}

export function slicesRelease(slice: u32, count: u32): void {
  if (arenaBits() !== 0 && arenaPut(slice, count)) return;
  pageSlicesAdd((0 - count) >>> 0);
  runPut(freeSlices(), slice, count);
  if (slice >>> 5 < load32(heapBase, L.H_HINT)) store32(heapBase, L.H_HINT, slice >>> 5);
}

/** Appends `more` slices to a run that ends at `end`, if they are free or memory can grow there. */
export function slicesExtend(end: u32, more: u32): bool {
  const record: usize = arenaBits() !== 0 ? arenaAt(end - 1) : 0;
  if (record !== 0) return arenaExtend(record, end, more);
  if (!runClaim(freeSlices(), end, more)) {
    if (end + runFrom(end, more) !== atomicLoad(stateBase, L.S_TOP)) return false;
    if (!slicesGrow(more, GROW_TURNS) || !runClaim(freeSlices(), end, more)) return false;
  }
  memoryReach(atomicLoad(stateBase, L.S_TOP));
  pageSlicesAdd(more);
  return true;
}

/** How many slices from `slice` on are free, counting up to `most`. */
function runFrom(slice: u32, most: u32): u32 {
  let count: u32 = 0;
  while (count < most && sliceIsFree(slice + count)) count = count + 1;
  return count;
}

export function sliceIsFree(slice: u32): bool {
  return runIsFree(freeSlices(), slice);
}

/** Purges the free and dirty slices in [from, end). */
export function slicesPurge(from: u32, end: u32): void {
  runsPurge(freeSlices(), from, end);
}

/** Frees a slice that a terminated thread had claimed. */
export function slicePut(slice: u32): void {
  const kept: bool = arenaBits() !== 0 && arenaAt(slice) !== 0;
  runPut(kept ? arenaBits() : freeSlices(), slice, 1);
}

/** Whether a slice is free, in an arena or outside. */
// @cold
export function sliceIsFreeAnywhere(slice: u32): bool {
  return sliceIsFree(slice) || arenaIsFree(slice);
}

/**
 * Grows, or waits for another thread's growth; true = another search may succeed. One thread grows
 * at a time, so that the memory does not grow once for each thread. But no thread must wait: growth
 * is also right without the turn. So after GROW_LOOKS reads a thread grows without it, whether the
 * other thread is slow, dead, or a main thread that cannot wait.
 */
function slicesGrow(count: u32, turn: u32): bool {
  const mine: bool = atomicCas(stateBase, L.S_GROWER, 0, heapId);
  if (!mine && turn < GROW_TURNS - 1 && growAwait()) return true;
  const grown: bool = growFor(count);
  if (mine) atomicCas(stateBase, L.S_GROWER, heapId, 0);
  return grown;
}

/** Whether a growth by another thread ended while this thread waited. */
function growAwait(): bool {
  const grower: u32 = atomicLoad(stateBase, L.S_GROWER);
  for (let look: u32 = 0; look < GROW_LOOKS; look++) {
    if (atomicLoad(stateBase, L.S_GROWER) !== grower) return true;
  }
  return false;
}

/**
 * Grows until there seems to be a run of `count` slices, twice if slices were kept for tables. When
 * the memory cannot grow, the slices that are kept for tables become free.
 */
function growFor(count: u32): bool {
  if (growOnto(count) && (runFindNear(count) !== 0 || growOnto(count))) return true;
  const kept: u32 = tablesUnused();
  return kept !== 0 && tablesGiveUp(kept >>> 16, kept & 0xffff, count);
}

/** Makes kept slices free if there seems to be a run of `count` slices then. */
// @cold
function tablesGiveUp(first: u32, end: u32, count: u32): bool {
  const around: u32 = runBefore(first, count) + runFrom(end, count);
  if (around + (end - first) < count) return false;
  if (!tablesYield(((first << 16) | end) >>> 0)) return false;
  tablesFree(first, end);
  return true;
}

/** Grows by what is missing for a run of `count` slices after the free slices at the top. */
function growOnto(count: u32): bool {
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  if (count > L.SLICES_MAX) return false;
  const missing: u32 = count - minimum(runBefore(top, count), count - 1);
  if (top + missing > L.SLICES_MAX) return false;
  const keep: u32 = tablesWanted(top + missing);
  if (keep !== 0 && growOnce(missing + keep)) return true;
  return growOnce(missing + tablesMissing(top, missing));
}

/** How many slices before `slice` are free, counting up to `most`. */
function runBefore(slice: u32, most: u32): u32 {
  let count: u32 = 0;
  while (count < most && sliceIsFree(slice - count - 1)) count = count + 1;
  return count;
}

function minimum(a: u32, b: u32): u32 {
  return a < b ? a : b;
}

function growOnce(count: u32): bool {
  const grown: u32 = memoryGrow(count);
  const granted: u32 = grown >>> 16;
  if (granted === 0) return false;
  const first: u32 = grown & 0xffff;
  slicesAdd(first, minimum(granted, L.SLICES_MAX - first));
  return true;
}

/**
 * Adds new slices to the state; their memory is zero unless the dirty bits say otherwise. The top
 * is set first and the free bits last: no thread finds a slice without a descriptor, and slices
 * that were marked by a thread that dies here are found again. Tables are made of slices that are
 * kept for them, else at the end. If a table cannot be committed, the whole range belongs to no
 * heap.
 */
export function slicesAdd(first: u32, count: u32): void {
  const end: u32 = first + count;
  wordRaise(stateBase + L.S_TOP, end);
  const keep: u32 = tablesWanted(end);
  const from: u32 = keep < count ? first + keep : first;
  const rest: u32 = tablesAdd(first, end, from !== first ? from : end);
  if (rest === 0) return;
  const to: u32 = from !== first ? end : rest;
  for (let slice: u32 = first; slice < end; slice++) {
    store32(descOf(slice), L.D_BIN, slice >= from && slice < to ? L.BIN_OURS : L.BIN_TABLE);
  }
  atomicAdd(stateBase, L.S_OWN_SLICES, count);
  atomicAdd(stateBase, L.S_TABLE_SLICES, count - (to - from));
  if (from !== first && !tablesKeep(first, rest)) tablesFree(first, rest);
  if (to !== from) runPut(freeSlices(), from, to - from);
}

/** Makes slices free that count as slices of tables and that no thread can take as such. */
// @cold
function tablesFree(first: u32, end: u32): void {
  for (let slice: u32 = first; slice < end; slice++) store32(descOf(slice), L.D_BIN, L.BIN_OURS);
  atomicAdd(stateBase, L.S_TABLE_SLICES, (first - end) >>> 0);
  if (end !== first) runPut(freeSlices(), first, end - first);
}

/** Begins a state that is zero, with the slices that the memory has behind it. */
export function stateInit(): void {
  const state: u32 = stateBase >>> L.SLICE_SHIFT;
  const first: u32 = state + L.SHARED_STATE_SLICES;
  const end: u32 = minimum(memorySlices(), L.SLICES_MAX);
  store32(stateBase, L.S_TOP, first);
  store32(stateBase, L.S_OWN_SLICES, L.SHARED_STATE_SLICES);
  store32(stateBase + ((state >>> L.CHUNK_SHIFT) << 2), L.S_CHUNKS, stateBase + L.STATE_TABLE);
  if (end > first) slicesAdd(first, end - first);
}

/** For hosts whose views stay short when another thread grows the memory: see memoryReach. */
export function stateReach(): void {
  memoryReach(load32(stateBase, L.S_TOP));
}

/** Number of free slices. O(slices). */
export function slicesFreeCount(): u32 {
  let count: u32 = 0;
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  for (let slice: u32 = 0; slice < top; slice++) if (sliceIsFreeAnywhere(slice)) count = count + 1;
  return count;
}

/**
 * Checks that free slices are in no page, and the state's equation. Both hold while no thread is in
 * a call and none was terminated. O(slices).
 */
export function stateIsValid(): bool {
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  for (let slice: u32 = 0; slice < top; slice++) {
    if (!sliceIsFreeAnywhere(slice)) continue;
    if (chunkTable(slice) === 0 || load32(descOf(slice), L.D_OWNER) !== 0) return false;
    if (bitIsSet(stateBase + L.STATE_STARTS, slice)) return false;
  }
  return slicesAddUp();
}

/** Checks the equation above. It holds while no thread is in a call. O(slices). */
// @cold
export function slicesAddUp(): bool {
  const used: u32 = load32(stateBase, L.S_PAGE_SLICES) + load32(stateBase, L.S_TABLE_SLICES);
  return slicesFreeCount() + used + L.SHARED_STATE_SLICES === load32(stateBase, L.S_OWN_SLICES);
}
