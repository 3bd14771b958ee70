/**
 * The heap: initialisation, the generic path of malloc, the search of a queue, sweeps, collection.
 */

import { featureOn, sizeAsked } from "../hard/features.ts";
import { randomNext } from "../hard/random.ts";
import { binOf } from "../layout/bins.ts";
import { heapBind, heapIsBacking } from "../layout/bound-heap.ts";
import { bitsSet } from "../layout/desc.ts";
import { deferredWanted, heapBase, observing, stateBase, stateBind } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { mediumAlloc, mediumAllocFresh, mediumIsValid, unitsFor } from "../pages/medium.ts";
import {
  heapBeat,
  pageEnd,
  pageExtend,
  pageFresh,
  pageIsValid,
  pageLarge,
  pageRelease,
  pageSlices,
  pageSwap,
  pageTake,
} from "../pages/page.ts";
import { queueIsValid, queueOf, queueToFront, queueToFull } from "../pages/queue.ts";
import { fullPoll, mediumPoll, remoteTake, remoteTakeAll } from "../pages/remote.ts";
import { sampleGeneric } from "../pages/sample.ts";
import { committedAdd } from "../slices/commit.ts";
import { countAdd } from "../slices/counts.ts";
import { slicesWouldGrow, slicesWouldTouch, stateInit, stateIsValid } from "../slices/slices.ts";
import { atomicLoad, atomicStore, atomicSwap, SHARED } from "../target/atomics.ts";
import { errorRaise, load32, memorySlices, memoryZero, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { abandonedAdopt, SEARCH_ALL, SEARCH_SOME } from "./abandon.ts";
import { heapNext } from "./heaps.ts";
import { observeMalloc } from "./observe.ts";
import { heapBegin, leftoversCollect, threadAttach } from "./threads.ts";

/** Pages that other threads must have emptied before a heap is trimmed, beside its eighth. */
const TRIM_LEAST: u32 = 4;
const TRIM_SHIFT: u32 = 3;

/**
 * Makes a state with one heap at `base` and takes all memory behind it. `base` is a multiple of 64
 * KiB, and the memory contains the whole state. `flags`: INIT_ZEROED = everything from `base` on is
 * zero; otherwise the state is cleared and the memory behind it counts as written. INIT_COMMITS =
 * the host must commit the memory behind the state. From INIT_MOST_SHIFT on: the most slices that
 * the memory can have.
 */
export function heapInit(base: usize, flags: u32): void {
  const first: u32 = base >>> L.SLICE_SHIFT;
  const state: u32 = SHARED ? L.SHARED_STATE_SLICES : 1;
  const zeroed: bool = (flags & L.INIT_ZEROED) !== 0;
  if (!zeroed) memoryZero(base, state << L.SLICE_SHIFT);
  stateBind(base, SHARED ? 0 : base + L.STATE_HEAP);
  store32(base, L.S_COMMIT_NEEDED, flags & L.INIT_COMMITS);
  store32(base, L.S_MOST, flags >>> L.INIT_MOST_SHIFT);
  committedAdd(bitsSet(base + L.STATE_DIRTY, first, zeroed ? state : memorySlices() - first));
  if (SHARED) {
    stateInit();
    threadAttach(base, 0);
    return;
  }
  heapBegin();
  stateInit();
}

/**
 * Binds this instance to a heap that another instance made, so that they can use it by turns.
 * Threads that run at the same time use threadAttach.
 */
export function heapAttach(base: usize): void {
  stateBind(base, base + L.STATE_HEAP);
}

/**
 * All that malloc does when the first page of a queue has no block, in the order of specification
 * 7.1. Returns 0 after reporting the error.
 */
export function mallocGeneric(size: u32): usize {
  heapBeat();
  if (SHARED) heapTrimDue();
  if (deferredWanted) errorRaise(L.DEFERRED_FREE, 0);
  let block: usize = blockFind(size);
  if (block === 0) {
    heapsCollect();
    block = blockFind(size);
    if (block === 0) errorRaise(L.ENOMEM, HARDENED ? sizeAsked(size) : size);
  }
  return block;
}

/** Finds a block. For a medium size the caller has searched the existing pages already. */
function blockFind(size: u32): usize {
  if (size > L.MEDIUM_MAX) {
    const large: usize = pageFindLarge(size, 1);
    return large !== 0 ? load32(large, L.D_START) : 0;
  }
  if (size > L.SMALL_MAX) {
    const block: usize = SHARED ? mediumFromOthers(size) : 0;
    if (block !== 0) return block;
    sweepRetired(false);
    retiredRelease(pageSlices(size));
    return mediumAllocFresh(size);
  }
  const bin: u32 = binOf(size);
  const first: usize = load32(queueOf(bin), L.Q_FIRST);
  if (!HARDENED && (observing & L.OBSERVE_SOME) !== 0) {
    const guarded: usize = sampleGeneric(first, size);
    if (guarded !== 0) return guarded;
  }
  const page: usize = pageFind(bin, first);
  return page !== 0 ? pageTake(page, false) : 0;
}

/** A block of a page in which other threads have freed blocks, or of an abandoned page. */
function mediumFromOthers(size: u32): usize {
  const block: usize = mediumPoll() ? mediumAlloc(size) : 0;
  if (block !== 0) return block;
  const found: bool = othersSearch(L.BIN_MEDIUM + unitsFor(size), L.MEDIUM_SLICES);
  return found ? mediumAlloc(size) : 0;
}

/**
 * Searches what other threads have left for a bin, before `count` slices are taken; if the memory
 * would grow, searches all of it. Returns whether the queues of the heap may have a block now.
 */
// @cold
function othersSearch(bin: u32, count: u32): bool {
  if (abandonedAdopt(bin, SEARCH_SOME)) return true;
  if (!slicesWouldGrow(count)) return false;
  const trimmed: bool = heapTrim();
  return abandonedAdopt(bin, SEARCH_ALL) || trimmed;
}

/** As mallocGeneric, for a large block whose run is aligned to `alignment` slices. */
export function mallocLargeAligned(size: u32, alignment: u32): usize {
  let page: usize = pageFindLarge(size, alignment);
  if (page === 0) {
    heapsCollect();
    page = pageFindLarge(size, alignment);
  }
  if (page === 0) {
    errorRaise(L.ENOMEM, HARDENED ? sizeAsked(size) : size);
    return 0;
  }
  const block: usize = load32(page, L.D_START);
  if (!HARDENED && observing !== 0) observeMalloc(block, size);
  return block;
}

/** Returns a page of a bin with a free block, most likely the first page; 0 = none. */
function pageFind(bin: u32, page: usize): usize {
  if (HARDENED && page !== 0) pageExtendAtRandom(page);
  if (page !== 0 && pageCollect(page)) {
    store32(page, L.D_RETIRE, 0);
    return page;
  }
  return queueSearch(bin);
}

/**
 * Takes fresh blocks before freed ones in half of the calls, so that the order is unpredictable.
 */
function pageExtendAtRandom(page: usize): void {
  if (featureOn(L.HARD_SHUFFLE) && (randomNext() & 1) !== 0) pageExtendSome(page);
}

function pageFindLarge(size: u32, alignment: u32): usize {
  if (size > L.SIZE_MAX) {
    errorRaise(L.EOVERFLOW, HARDENED ? sizeAsked(size) : size);
    return 0;
  }
  retiredRelease(pageSlices(size));
  if (SHARED && slicesWouldGrow(pageSlices(size))) heapTrim();
  return pageLarge(size, alignment);
}

/**
 * Next fit: moves the first page of the queue that has a free block, or can take one into use, to
 * the front. Full pages that are passed leave the queue, so that no later search visits them.
 */
function queueSearch(bin: u32): usize {
  countAdd(L.COUNT_SEARCHES, 1);
  const page: usize = queueWalk(bin);
  if (page !== 0) return page;
  if (SHARED) {
    fullPoll();
    if (load32(queueOf(bin), L.Q_FIRST) !== 0 || othersSearch(bin, 1)) {
      const other: usize = queueWalk(bin);
      if (other !== 0) return other;
    }
  }
  sweepRetired(false);
  retiredRelease(1);
  return pageFresh(bin);
}

/**
 * Makes the freed blocks available when `free` is empty. Returns whether there is a block to take.
 */
function pageCollect(page: usize): bool {
  if (load32(page, L.D_FREE) !== 0) return true;
  if (load32(page, L.D_FRESH) !== load32(page, L.D_FRESH_END)) return true;
  if (load32(page, L.D_LOCAL) === 0 && !(SHARED && remoteTake(page))) return false;
  pageSwap(page);
  return true;
}

function queueWalk(bin: u32): usize {
  const queue: usize = queueOf(bin);
  let page: usize = load32(queue, L.Q_FIRST);
  while (page !== 0) {
    const next: usize = load32(page, L.D_NEXT);
    countAdd(L.COUNT_SEARCHED, 1);
    if (pageCollect(page) || pageExtendSome(page)) {
      queueToFront(queue, page);
      store32(page, L.D_RETIRE, 0);
      return page;
    }
    queueToFull(page);
    page = next;
  }
  return 0;
}

/**
 * Gives idle retired pages back before `count` slices of untouched memory are taken into use: an
 * empty page of another size is worth less than untouched memory. Pages that were used within the
 * last sweeps stay: a program that uses many sizes by turns would drop and make a page with every
 * malloc (8x slower on pairs of mixed sizes).
 */
function retiredRelease(count: u32): void {
  if (load32(stateBase, L.S_PAGE_SLICES) < L.RETIRE_SLICES) return;
  if (load32(heapBase, L.H_RETIRE_MAX) !== 0 && slicesWouldTouch(count)) sweepRetired(true);
}

function pageExtendSome(page: usize): bool {
  if (load32(page, L.D_FRESH_END) === pageEnd(page)) return false;
  pageExtend(page);
  return true;
}

/**
 * Counts down the retired pages and gives back those whose count reaches 0, or all. Runs when a
 * fresh page is needed, so time is measured by demand.
 */
function sweepRetired(all: bool): void {
  let min: u32 = L.BIN_FULL;
  let max: u32 = 0;
  const last: u32 = load32(heapBase, L.H_RETIRE_MAX);
  for (let bin: u32 = load32(heapBase, L.H_RETIRE_MIN); bin <= last; bin++) {
    if (!binStaysRetired(queueOf(bin), bin > L.BIN_LAST ? L.Q_LAST : L.Q_FIRST, all)) continue;
    if (bin < min) min = bin;
    max = bin;
  }
  store32(heapBase, L.H_RETIRE_MIN, min);
  store32(heapBase, L.H_RETIRE_MAX, max);
}

/** The next empty page comes to the end of a medium queue when the last one has gone. */
function binStaysRetired(queue: usize, end: u32, all: bool): bool {
  const page: usize = load32(queue, end);
  if (page === 0) return false;
  if (pageStaysRetired(page, all)) return true;
  if (end === L.Q_FIRST) return false;
  const next: usize = load32(queue, end);
  return next !== 0 && next !== page && load32(next, L.D_RETIRE) !== 0;
}

function pageStaysRetired(page: usize, all: bool): bool {
  const left: u32 = load32(page, L.D_RETIRE);
  if (left === 0) return false;
  if (load32(page, L.D_USED) !== 0) {
    store32(page, L.D_RETIRE, 0);
    return false;
  }
  store32(page, L.D_RETIRE, left - 1);
  const medium: bool = (load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
  if (left > 1 && (!all || medium || left > L.RETIRE_IDLE)) return true;
  pageRelease(page);
  return false;
}

/**
 * Gives back every empty page, retired ones too. In a shared heap, takes what other threads have
 * freed before that, and with `force` also the pages of threads that have ended.
 */
export function heapCollect(force: bool): void {
  if (deferredWanted) errorRaise(L.DEFERRED_FREE, force ? 1 : 0);
  heapClean(force);
}

function heapClean(force: bool): void {
  if (SHARED) {
    atomicStore(heapBase, L.H_FREED, 0);
    remoteTakeAll();
    if (force && heapIsBacking()) leftoversCollect();
  }
  emptyRelease();
}

/** Gives back every page without blocks in use. */
function emptyRelease(): void {
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) {
    let page: usize = load32(queueOf(bin), L.Q_FIRST);
    while (page !== 0) {
      const next: usize = load32(page, L.D_NEXT);
      if (load32(page, L.D_USED) === 0) pageRelease(page);
      page = next;
    }
  }
}

/**
 * Takes what other threads have freed in this heap's pages, and gives back the pages that are empty
 * then. O(pages). Returns whether other threads have freed anything since the last time.
 */
// @cold
function heapTrim(): bool {
  if (atomicSwap(heapBase, L.H_FREED, 0) === 0) return false;
  remoteTakeAll();
  emptyRelease();
  return true;
}

/**
 * Trims the heap once other threads have freed all blocks of an eighth of its pages: it might never
 * need those pages again, and then would never look at them.
 */
export function heapTrimDue(): void {
  const emptied: u32 = atomicLoad(heapBase, L.H_FREED) >>> 1;
  if (emptied > TRIM_LEAST && emptied << TRIM_SHIFT > load32(heapBase, L.H_PAGES)) heapTrim();
}

/** heapCollect for all heaps of this thread: what they hold is free for each of them. */
function heapsCollect(): void {
  heapCollect(true);
  const was: usize = heapBase;
  for (let heap: usize = heapNext(0); heap !== 0; heap = heapNext(heap)) {
    heapBind(heap);
    if (heap !== was) heapClean(true);
  }
  heapBind(was);
}

/** Checks state, queues and every page against the equations of layout.ts. O(blocks). */
export function heapIsValid(): bool {
  if (!stateIsValid()) return false;
  let pages: u32 = 0;
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) {
    if (!queueIsValid(bin)) return false;
    let page: usize = load32(queueOf(bin), L.Q_FIRST);
    while (page !== 0) {
      const medium: bool = (load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
      if (!(medium ? mediumIsValid(page) : pageIsValid(page))) return false;
      pages = pages + 1;
      page = load32(page, L.D_NEXT);
    }
  }
  return pages === load32(heapBase, L.H_PAGES);
}
