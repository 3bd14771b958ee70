/**
 * Runs of slices: spans (free runs) in bins by length, split and coalesced, and growth.
 *
 * Spans are found in constant time, while the scan of a bitmap takes longer in a larger memory.
 * Both edges of a span hold its length, so neighbours are joined without a search; inner slices
 * hold nothing. This file is for a single thread; slices-shared.ts has the same functions for
 * threads.
 */

import { bitIsSet, chunkTable, descOf } from "../layout/desc.ts";
import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import {
  leadingZeros,
  load32,
  memoryGrow,
  memorySlices,
  store32,
  trailingZeros,
} from "../target/glue.ts";
import { arenaExtend, arenaIsFree, arenaPut, arenasClaim } from "./arena-runs.ts";
import { arenaAt, arenaBits } from "./arenas.ts";
import { pageSlicesAdd, rangePurge } from "./commit.ts";
import { tablesAdd, tablesKeep, tablesMissing, tablesUnused, tablesWanted } from "./tables.ts";

/** Bin of a span: exact up to 8 slices, then four bins for each doubling (specification 9.2). */
export function spanBin(count: u32): u32 {
  if (count <= 8) return count;
  const m: u32 = count - 1;
  const top: u32 = 31 - leadingZeros(m);
  return (((top << 2) | ((m >>> (top - 2)) & 3)) - 4) >>> 0;
}

function spanHead(bin: u32): usize {
  return stateBase + L.S_SPANS + (bin << 2);
}

function spanMaskWord(bin: u32): usize {
  return stateBase + L.S_SPAN_MASK + ((bin >>> 5) << 2);
}

/**
 * Makes a span of the `count` slices from descriptor `span` on, which begin at slice `slice`. The
 * caller has coalesced and counted it.
 */
function spanPush(span: usize, slice: u32, count: u32): void {
  const bin: u32 = spanBin(count);
  const head: usize = spanHead(bin);
  const first: usize = load32(head, 0);
  store32(descBehind(span, slice, count - 1), L.D_BIN, L.BIN_SPAN + count);
  store32(span, L.D_BIN, L.BIN_SPAN + count);
  store32(span, L.D_SLICES, count);
  store32(span, L.D_START, (slice << L.SLICE_SHIFT) >>> 0);
  store32(span, L.D_PREV, 0);
  store32(span, L.D_NEXT, first);
  store32(head, 0, span);
  if (first !== 0) store32(first, L.D_PREV, span);
  else store32(spanMaskWord(bin), 0, (load32(spanMaskWord(bin), 0) | (1 << (bin & 31))) >>> 0);
}

/** Removes a span from its bin and clears the mark at its start; the one at its end stays. */
function spanUnlink(span: usize): void {
  const next: usize = load32(span, L.D_NEXT);
  const prev: usize = load32(span, L.D_PREV);
  if (next !== 0) store32(next, L.D_PREV, prev);
  if (prev !== 0) store32(prev, L.D_NEXT, next);
  else spanHeadSet(spanBin(load32(span, L.D_SLICES)), next);
  store32(span, L.D_BIN, L.BIN_NONE);
}

function spanHeadSet(bin: u32, span: usize): void {
  store32(spanHead(bin), 0, span);
  if (span !== 0) return;
  const word: usize = spanMaskWord(bin);
  store32(word, 0, (load32(word, 0) & ~(1 << (bin & 31))) >>> 0);
}

/** Descriptor of slice + count, given that of `slice`; usually in the same table. */
function descBehind(desc: usize, slice: u32, count: u32): usize {
  const index: u32 = slice & (L.CHUNK_SLICES - 1);
  return index + count < L.CHUNK_SLICES ? desc + (count << L.DESC_SHIFT) : descOf(slice + count);
}

/** Descriptor of slice - count, given that of `slice`. */
function descBefore(desc: usize, slice: u32, count: u32): usize {
  const index: u32 = slice & (L.CHUNK_SLICES - 1);
  return index >= count ? desc - (count << L.DESC_SHIFT) : descOf(slice - count);
}

/** Length of the span whose edge a slice is, or 0; a table must cover the slice. */
// @cold
function spanLength(desc: usize): u32 {
  const mark: u32 = load32(desc, L.D_BIN);
  return mark > L.BIN_SPAN ? mark - L.BIN_SPAN : 0;
}

/** The first bin from `bin` on that has a span, or SPAN_BINS. */
function spanBinNext(bin: u32): u32 {
  if (bin < 32) {
    const low: u32 = (load32(stateBase, L.S_SPAN_MASK) & (0xffffffff << bin)) >>> 0;
    if (low !== 0) return trailingZeros(low);
    bin = 32;
  }
  if (bin >= L.SPAN_BINS) return L.SPAN_BINS;
  const high: u32 = (load32(stateBase, L.S_SPAN_MASK + 4) & (0xffffffff << (bin & 31))) >>> 0;
  return high !== 0 ? 32 + trailingZeros(high) : L.SPAN_BINS;
}

/** The first span of at least `count` slices in the lowest bin that has one, or 0. */
function spanFind(count: u32): usize {
  let bin: u32 = spanBinNext(spanBin(count));
  while (bin < L.SPAN_BINS) {
    let span: usize = load32(spanHead(bin), 0);
    while (span !== 0) {
      if (load32(span, L.D_SLICES) >= count) return span;
      span = load32(span, L.D_NEXT);
    }
    bin = spanBinNext(bin + 1);
  }
  return 0;
}

/** Joins a run that just became free with free neighbours and puts it in its bin. */
function runRelease(slice: u32, count: u32): void {
  let from: u32 = slice;
  let desc: usize = descOf(slice);
  let length: u32 = count;
  store32(stateBase, L.S_FREE_SLICES, load32(stateBase, L.S_FREE_SLICES) + count);
  const behind: u32 = spanAt(slice + count);
  if (behind !== 0) {
    length = length + behind;
    spanUnlink(descBehind(desc, slice, count));
  }
  const before: u32 = spanBefore(desc, slice);
  if (before !== 0) {
    store32(descBefore(desc, slice, 1), L.D_BIN, L.BIN_NONE);
    from = slice - before;
    length = length + before;
    desc = descBefore(desc, slice, before);
    spanUnlink(desc);
  }
  spanPush(desc, from, length);
}

/** Length of the span that ends before a slice, or 0. */
function spanBefore(desc: usize, slice: u32): u32 {
  if ((slice & (L.CHUNK_SLICES - 1)) !== 0) return spanLength(desc - L.DESC_SIZE);
  if (slice === 0 || chunkTable(slice - 1) === 0) return 0;
  return spanLength(descOf(slice - 1));
}

/** Takes `count` slices from the front of a span; the rest stays a span. */
function spanTake(span: usize, count: u32): u32 {
  const slice: u32 = load32(span, L.D_START) >>> L.SLICE_SHIFT;
  const length: u32 = load32(span, L.D_SLICES);
  spanUnlink(span);
  if (length > count) spanPush(descBehind(span, slice, count), slice + count, length - count);
  else store32(descBehind(span, slice, length - 1), L.D_BIN, L.BIN_NONE);
  store32(stateBase, L.S_FREE_SLICES, load32(stateBase, L.S_FREE_SLICES) - count);
  return slice;
}

/**
 * Claims a run of `count` slices, or returns 0; with `arenas` also of arenas that are not
 * exclusive. Slice 0 is never given: the state begins there at the earliest. The caller must take
 * the run (slicesTake) before use.
 */
export function slicesClaim(count: u32, arenas: bool): u32 {
  let span: usize = spanFind(count);
  if (span === 0) {
    const slice: u32 = arenas && arenaBits() !== 0 ? arenasClaim(count) : 0;
    if (slice !== 0) return slice;
    if (!slicesGrow(count)) return 0;
    span = spanFind(count);
    if (span === 0) return 0;
  }
  pageSlicesAdd(count);
  return spanTake(span, count);
}

/** Whether the memory must grow for a run of `count` slices. */
export function slicesWouldGrow(count: u32): bool {
  return spanFind(count) === 0;
}

/** Whether a run of `count` slices would need memory that was never used. */
export function slicesWouldTouch(count: u32): bool {
  const span: usize = spanFind(count);
  if (span === 0) return true;
  const slice: u32 = load32(span, L.D_START) >>> L.SLICE_SHIFT;
  return !bitIsSet(stateBase + L.STATE_DIRTY, slice);
}

export function slicesRelease(slice: u32, count: u32): void {
  if (arenaBits() !== 0 && arenaPut(slice, count)) return;
  store32(stateBase, L.S_PAGE_SLICES, load32(stateBase, L.S_PAGE_SLICES) - count);
  runRelease(slice, count);
}

/** Appends `more` slices to a run that ends at `end`, if they are free or memory can grow there. */
export function slicesExtend(end: u32, more: u32): bool {
  const record: usize = arenaBits() !== 0 ? arenaAt(end - 1) : 0;
  if (record !== 0) return arenaExtend(record, end, more);
  let free: u32 = spanAt(end);
  if (free < more && end + free === load32(stateBase, L.S_TOP)) {
    if (!slicesGrow(more)) return false;
    free = spanAt(end);
  }
  if (free < more) return false;
  spanTake(descOf(end), more);
  pageSlicesAdd(more);
  return true;
}

/** Length of the span that begins at a slice, or 0. */
function spanAt(slice: u32): u32 {
  if (slice >= load32(stateBase, L.S_TOP) || chunkTable(slice) === 0) return 0;
  return spanLength(descOf(slice));
}

/** Slices of the span that ends at the top of memory. */
function spanAtTop(): u32 {
  const top: u32 = load32(stateBase, L.S_TOP);
  return chunkTable(top - 1) !== 0 ? spanLength(descOf(top - 1)) : 0;
}

/**
 * Grows until there is a run of `count` slices. When other code has grown the memory, or slices
 * were kept for tables, the first new slices do not continue ours, and more are requested. When the
 * memory cannot grow, the slices that are kept for tables may make such a run.
 */
function slicesGrow(count: u32): bool {
  if (growFor(count) && (spanFind(count) !== 0 || growFor(count))) return true;
  const kept: u32 = tablesUnused();
  return kept !== 0 && tablesGiveUp(kept >>> 16, kept & 0xffff, count);
}

/** Makes kept slices free if there is a run of `count` slices then. */
// @cold
function tablesGiveUp(first: u32, end: u32, count: u32): bool {
  const around: u32 = spanBefore(descOf(first), first) + spanAt(end);
  if (around + (end - first) < count) return false;
  store32(stateBase, L.S_TABLES, 0);
  store32(stateBase, L.S_TABLE_SLICES, load32(stateBase, L.S_TABLE_SLICES) - (end - first));
  runRelease(first, end - first);
  return true;
}

/** Grows by what is missing for a run of `count` slices after the free slices at the top. */
function growFor(count: u32): bool {
  const top: u32 = load32(stateBase, L.S_TOP);
  const missing: u32 = count - minimum(spanAtTop(), count - 1);
  if (count > L.SLICES_MAX || top + missing > L.SLICES_MAX) return false;
  const keep: u32 = tablesWanted(top + missing);
  if (keep !== 0 && growOnce(missing + keep)) return true;
  return growOnce(missing + tablesMissing(top, missing));
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

/** Purges the dirty slices of spans that lie in [from, end). O(spans). */
export function slicesPurge(from: u32, end: u32): void {
  for (let bin: u32 = 1; bin < L.SPAN_BINS; bin++) {
    let span: usize = load32(spanHead(bin), 0);
    while (span !== 0) {
      const slice: u32 = load32(span, L.D_START) >>> L.SLICE_SHIFT;
      const first: u32 = slice > from ? slice : from;
      const last: u32 = minimum(slice + load32(span, L.D_SLICES), end);
      if (first < last) rangePurge(first, last - first);
      span = load32(span, L.D_NEXT);
    }
  }
}

/**
 * Adds new slices to the state; their memory is zero unless the dirty bits say otherwise. Tables
 * are made of slices that are kept for them, else at the end, so that the rest still continues a
 * span at the old top. If a table cannot be committed, the whole range belongs to no heap.
 */
export function slicesAdd(first: u32, count: u32): void {
  const end: u32 = first + count;
  const keep: u32 = tablesWanted(end);
  const from: u32 = keep < count ? first + keep : first;
  store32(stateBase, L.S_TOP, end);
  const rest: u32 = tablesAdd(first, end, from !== first ? from : end);
  if (rest === 0) return;
  const tables: u32 = from !== first ? keep : end - rest;
  store32(stateBase, L.S_OWN_SLICES, load32(stateBase, L.S_OWN_SLICES) + count);
  store32(stateBase, L.S_TABLE_SLICES, load32(stateBase, L.S_TABLE_SLICES) + tables);
  if (from !== first) tablesKeep(first, rest);
  if (tables !== count) runRelease(from, count - tables);
}

/** Begins a state whose first slice is zero, with the slices that the memory has behind that. */
export function stateInit(): void {
  const state: u32 = stateBase >>> L.SLICE_SHIFT;
  const end: u32 = minimum(memorySlices(), L.SLICES_MAX);
  store32(stateBase, L.S_TOP, state + 1);
  store32(stateBase, L.S_OWN_SLICES, 1);
  store32(stateBase + ((state >>> L.CHUNK_SHIFT) << 2), L.S_CHUNKS, stateBase + L.STATE_TABLE);
  if (end > state + 1) slicesAdd(state + 1, end - state - 1);
}

/**
 * Checks that every span is in its bin, with both edges marked and no free neighbour, and the
 * state's equation. O(slices).
 */
export function stateIsValid(): bool {
  let free: u32 = 0;
  for (let bin: u32 = 1; bin < L.SPAN_BINS; bin++) {
    const bit: u32 = (load32(spanMaskWord(bin), 0) >>> (bin & 31)) & 1;
    let span: usize = load32(spanHead(bin), 0);
    if ((span !== 0) !== (bit !== 0)) return false;
    while (span !== 0) {
      if (!spanIsValid(span, bin)) return false;
      free = free + load32(span, L.D_SLICES);
      span = load32(span, L.D_NEXT);
    }
  }
  if (free !== load32(stateBase, L.S_FREE_SLICES)) return false;
  for (let slice: u32 = 0; slice < load32(stateBase, L.S_TOP); slice++) {
    if (arenaIsFree(slice)) free = free + 1;
  }
  const used: u32 = load32(stateBase, L.S_PAGE_SLICES) + load32(stateBase, L.S_TABLE_SLICES) + 1;
  return free + used === load32(stateBase, L.S_OWN_SLICES);
}

function spanIsValid(span: usize, bin: u32): bool {
  const slice: u32 = load32(span, L.D_START) >>> L.SLICE_SHIFT;
  const count: u32 = load32(span, L.D_SLICES);
  if (spanBin(count) !== bin || descOf(slice) !== span || spanLength(span) !== count) return false;
  return spanLength(descOf(slice + count - 1)) === count && spanAt(slice + count) === 0;
}
