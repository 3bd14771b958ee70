/**
 * How slices come into use and go out of use: commit, purge, and the counters of both.
 *
 * A slice is dirty from the moment it is taken until it is purged. Only dirty slices can hold
 * anything but zeros, and only they count as committed:
 *
 *            slicesTake (asks the host to commit, if needed)
 *   clean  --------------------------------------------------------->  dirty
 *     ^                                                                  |
 *     +------------- rangePurge (asks the host to decommit) -------------+
 *
 *   committed == dirty bits that are set
 *
 * So no further bitmap is needed for committed slices, nor for slices to purge: those are the free
 * and dirty ones. mimalloc counts a purge that needs no commit afterwards again with every purge
 * (defect 3 of the specification); here the counters follow the bits.
 */

import { bitFind, bitIsSet, bitsClear, bitsSet } from "../layout/desc.ts";
import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicAdd, atomicCas, atomicLoad } from "../target/atomics.ts";
import { load32, memoryPages } from "../target/glue.ts";
import { purgeRearm } from "./purge-schedule.ts";

/** Values of bitFind's `flip`. */
const SET: u32 = 0;
const CLEAR: u32 = 0xffffffff;

/** Whether all slices that slicesTake took last are zero; callers read it at once. */
export let slicesWereZero: bool = false;

/**
 * Makes a run usable that was just claimed. False when the host cannot commit all of it: the
 * committed part is dirty then, the counters are right, and the caller gives the run back.
 */
export function slicesTake(slice: u32, count: u32): bool {
  const asks: bool = load32(stateBase, L.S_COMMIT_NEEDED) !== 0;
  const dirty: usize = stateBase + L.STATE_DIRTY;
  const fresh: u32 = asks ? runsCommit(slice, count) : bitsSet(dirty, slice, count);
  if (fresh !== 0) committedAdd(fresh);
  slicesWereZero = fresh === count;
  if (fresh !== count && load32(stateBase, L.S_PURGE_DELAY) !== 0) purgeRearm(slice);
  return !asks || bitFind(dirty, slice, slice + count, CLEAR) === slice + count;
}

/** Commits the clean parts of a run, up to one that fails; returns the number of slices. */
function runsCommit(slice: u32, count: u32): u32 {
  const dirty: usize = stateBase + L.STATE_DIRTY;
  const end: u32 = slice + count;
  let fresh: u32 = 0;
  let from: u32 = bitFind(dirty, slice, end, CLEAR);
  while (from < end) {
    const to: u32 = bitFind(dirty, from, end, SET);
    if (!pagesAsk(L.PAGES_COMMIT, from, to - from)) return fresh;
    atomicAdd(stateBase, L.S_COMMITS, 1);
    fresh = fresh + bitsSet(dirty, from, to - from);
    from = bitFind(dirty, to, end, CLEAR);
  }
  return fresh;
}

/** Requests an operation on whole slices from the host; returns whether it happened. */
export function pagesAsk(operation: u32, slice: u32, count: u32): bool {
  return memoryPages(operation, (slice << L.SLICE_SHIFT) >>> 0, (count << L.SLICE_SHIFT) >>> 0);
}

/** Counts slices that become committed. */
// @cold
export function committedAdd(count: u32): void {
  const total: u32 = atomicAdd(stateBase, L.S_COMMITTED, count) + count;
  wordRaise(stateBase + L.S_COMMITTED_PEAK, total);
}

/** Counts slices that become part of pages, or, with a negative number as a u32, leave them. */
// @cold
export function pageSlicesAdd(count: u32): void {
  const total: u32 = (atomicAdd(stateBase, L.S_PAGE_SLICES, count) + count) >>> 0;
  wordRaise(stateBase + L.S_PAGE_SLICES_PEAK, total);
}

/** Raises a word to at least `value`. */
// @cold
export function wordRaise(word: usize, value: u32): void {
  let old: u32 = atomicLoad(word, 0);
  while (old < value && !atomicCas(word, 0, old, value)) old = atomicLoad(word, 0);
}

/** Purges the dirty slices of a range that the caller has claimed or that belongs to no page. */
export function rangePurge(slice: u32, count: u32): void {
  const dirty: usize = stateBase + L.STATE_DIRTY;
  const end: u32 = slice + count;
  let from: u32 = bitFind(dirty, slice, end, SET);
  while (from < end) {
    const to: u32 = bitFind(dirty, from, end, CLEAR);
    runPurge(from, to - from);
    from = bitFind(dirty, to, end, SET);
  }
}

/** A run that was reset stays dirty: its contents are unknown. */
function runPurge(slice: u32, count: u32): void {
  const how: u32 = load32(stateBase, L.S_PURGE_HOW);
  if (!pagesAsk(how, slice, count)) return;
  if (how === L.PAGES_RESET) {
    atomicAdd(stateBase, L.S_RESETS, 1);
    atomicAdd(stateBase, L.S_RESET, count);
    return;
  }
  bitsClear(stateBase + L.STATE_DIRTY, slice, count);
  atomicAdd(stateBase, L.S_COMMITTED, (0 - count) >>> 0);
  atomicAdd(stateBase, L.S_PURGES, 1);
  atomicAdd(stateBase, L.S_PURGED, count);
}

/** Checks the counter against the dirty bits. O(slices). */
export function committedIsValid(): bool {
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  let count: u32 = 0;
  for (let slice: u32 = 0; slice < top; slice++) {
    if (bitIsSet(stateBase + L.STATE_DIRTY, slice)) count = count + 1;
  }
  return count === load32(stateBase, L.S_COMMITTED);
}
