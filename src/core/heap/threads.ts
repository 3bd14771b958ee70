/**
 * How threads attach, detach and die (shared build only).
 *
 * A thread has an area for its heap, and an id, a number that is given only once. The area's state
 * word holds both the thread's id and the state, so one compare-and-swap takes an area and names
 * its owner. What a thread owns is found without its help, however it ended: pages by their owner
 * word, the right to grow by S_GROWER, areas under recovery by H_RECOVERER.
 *
 *             attach                    recover
 *   FREE  ------------->  LIVE  ------------------->  RECOVERING
 *     ^                     |                             |
 *     +----- detach --------+      (pages are abandoned)  |
 *     +---------------------------------------------------+
 */

import { randomBegin } from "../hard/random.ts";
import { backingBind, heapBind } from "../layout/bound-heap.ts";
import { bitClear, bitIsSet, chunkTable, descOf } from "../layout/desc.ts";
import {
  heapBase,
  heapId,
  heapsMark,
  stateBase,
  stateBind,
  threadBind,
  threadId,
} from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { mediumRepair } from "../pages/medium.ts";
import { pageDrop, pageRepair } from "../pages/page.ts";
import { queueOf, queueRemove, queuesInit } from "../pages/queue.ts";
import { pagesAsk } from "../slices/commit.ts";
import {
  sliceIsFreeAnywhere,
  slicePut,
  slicesAddUp,
  slicesFreeCount,
} from "../slices/slices-shared.ts";
import { atomicAdd, atomicCas, atomicLoad, atomicStore } from "../target/atomics.ts";
import { load32, memoryReach, memoryZero, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { abandonedAdoptAll, pageAbandon, pageAdopt, pageWasFreedIn } from "./abandon.ts";

// @cold
function areaAt(index: u32): usize {
  return stateBase + L.STATE_AREAS + (index << L.AREA_SHIFT);
}

function areaState(thread: u32, state: u32): u32 {
  return ((thread << 2) | state) >>> 0;
}

/** Returns an id for a thread that will attach, from 1 on; 0 = all ids are used. */
export function threadIdDraw(): u32 {
  const thread: u32 = atomicAdd(stateBase, L.S_THREAD_IDS, 1) + 1;
  return thread <= L.THREAD_ID_MAX ? thread : 0;
}

/** The area of a living thread, or 0. */
// @cold
function areaOf(thread: u32): usize {
  for (let i: u32 = L.AREA_FIRST; i < L.AREA_COUNT; i++) {
    if (atomicLoad(areaAt(i), L.H_STATE) === areaState(thread, L.AREA_LIVE)) return areaAt(i);
  }
  return 0;
}

/** The first area of this thread behind another one, or 0. */
// @cold
export function areaNext(area: usize): usize {
  for (let i: u32 = L.AREA_FIRST; i < L.AREA_COUNT; i++) {
    if (areaAt(i) > area && heapIsOurs(areaAt(i))) return areaAt(i);
  }
  return 0;
}

/** Takes a free area for a thread, or returns 0. */
// @cold
function areaTake(thread: u32): usize {
  for (let i: u32 = L.AREA_FIRST; i < L.AREA_COUNT; i++) {
    const state: u32 = atomicLoad(areaAt(i), L.H_STATE);
    if ((state & 3) !== L.AREA_FREE) continue;
    if (atomicCas(areaAt(i), L.H_STATE, state, areaState(thread, L.AREA_LIVE))) return areaAt(i);
  }
  return 0;
}

/**
 * Binds this instance to the state at `base`, with a new heap. `thread` is an id from threadIdDraw
 * that no other thread has, or 0 for a new one. Returns the id; 0 = all areas are taken, or the id
 * is in use.
 */
export function threadAttach(base: usize, thread: u32): u32 {
  stateBind(base, 0);
  const mine: u32 = thread !== 0 ? thread : threadIdDraw();
  if (mine === 0 || areaOf(mine) !== 0) return 0;
  const area: usize = areaTake(mine);
  if (area === 0) return 0;
  atomicAdd(base, L.S_ATTACHES, 1);
  areaZero(area);
  stateBind(base, area);
  threadBind(mine);
  heapsMark(false);
  heapBegin();
  return mine;
}

/** Clears an area but for its state and its counters: see counts.ts. */
function areaZero(area: usize): void {
  memoryZero(area, L.H_STATE);
  memoryZero(area + L.H_STATE + 4, L.H_COUNTS - L.H_STATE - 4);
  memoryZero(area + L.H_MOST, L.AREA_SIZE - L.H_MOST);
}

/** Takes another area for this thread and clears it; 0 = all are taken. */
export function areaTakeOwn(): usize {
  const area: usize = areaTake(threadId);
  if (area !== 0) areaZero(area);
  return area;
}

/** Whether an id is that of a heap of this thread. */
export function heapIsOurs(heap: usize): bool {
  return heap > L.OWNER_ABANDONED && load32(heap, L.H_STATE) === areaState(threadId, L.AREA_LIVE);
}

/** Writes the words of a new heap that are not zero. */
export function heapBegin(): void {
  store32(heapBase, L.H_ID, heapId);
  store32(heapBase, L.H_RETIRE_MIN, L.BIN_FULL);
  store32(heapBase, L.H_WARM, L.WARM_MAX);
  queuesInit();
  if (HARDENED) randomBegin();
}

/** The id of the thread that this instance is bound to. */
export function threadBound(): u32 {
  return threadId;
}

/** The id of this thread's heap. */
export function threadHeap(): u32 {
  return heapId;
}

/**
 * Ends this thread's heaps: their blocks stay valid, other threads may take their pages. Does
 * nothing for a thread that others have recovered already.
 */
export function threadDetach(): void {
  let area: usize = areaOf(threadId);
  while (area !== 0) {
    stateBind(stateBase, area);
    heapDetach();
    area = areaOf(threadId);
  }
  stateBind(stateBase, 0);
  threadBind(0);
}

function heapDetach(): void {
  while (load32(heapBase, L.H_PAGES) !== 0) queuesAbandon();
  largeDisown(heapId);
  areaGive(heapBase);
}

/** Frees an area of this thread; its heap has no pages. */
export function areaGive(area: usize): void {
  heartbeatKeep(area);
  areaFree(area, threadId);
}

/** H_OF is cleared first: a thread may take the area as soon as its state says that it is free. */
function areaFree(area: usize, thread: u32): void {
  atomicStore(area, L.H_OF, 0);
  atomicStore(area, L.H_STATE, areaState(thread, L.AREA_FREE));
}

function queuesAbandon(): void {
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) {
    let page: usize = load32(queueOf(bin), L.Q_FIRST);
    while (page !== 0) {
      queueRemove(page);
      pageGiveUp(page);
      page = load32(queueOf(bin), L.Q_FIRST);
    }
  }
}

/** Abandons a page of ours that is in no queue, or gives it back if no block is in use. */
function pageGiveUp(page: usize): void {
  if (load32(page, L.D_USED) === 0) {
    pageDrop(page);
    return;
  }
  pageAbandon(page);
  if (pageWasFreedIn(page)) pageAdopt(page);
}

/** Adds an area's heartbeat to that of the state, before the area is used again. */
function heartbeatKeep(area: usize): void {
  atomicAdd(stateBase, L.S_HEARTBEAT, load32(area, L.H_HEARTBEAT));
}

/** The next slice from `slice` on at which a page begins, or the top. */
// @cold
function pageNext(slice: u32): u32 {
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  let next: u32 = slice;
  while (next < top && !bitIsSet(stateBase + L.STATE_STARTS, next)) next = next + 1;
  return next;
}

/** Large pages need no owner; the word only tells walks which heap the block belongs to. */
function largeDisown(heap: u32): void {
  for (let i: u32 = pageNext(0); i < atomicLoad(stateBase, L.S_TOP); i = pageNext(i + 1)) {
    const page: usize = descOf(i);
    const owner: u32 = atomicLoad(page, L.D_OWNER);
    if ((owner & ~L.FLAGS) >>> 0 !== heap || (owner & L.FLAG_LARGE) === 0) continue;
    atomicCas(page, L.D_OWNER, owner, (L.OWNER_ABANDONED | (owner & L.FLAGS)) >>> 0);
  }
}

/**
 * Recovers what a thread left that ended without threadDetach and does not run any more. Returns
 * whether there was such a thread; a second call does nothing.
 */
export function threadRecover(thread: u32): bool {
  if (thread === threadId) return false;
  const was: usize = backingBind();
  let found: bool = false;
  let area: usize = areaOf(thread);
  while (area !== 0) {
    store32(area, L.H_RECOVERER, threadId);
    if (
      atomicCas(
        area,
        L.H_STATE,
        areaState(thread, L.AREA_LIVE),
        areaState(thread, L.AREA_RECOVERING),
      )
    ) {
      areaRecover(area, thread);
      found = true;
    }
    area = areaOf(thread);
  }
  if (found) recoveriesTakeOver(thread);
  heapBind(was);
  return found;
}

/** Completes the recoveries during which a thread died. */
function recoveriesTakeOver(thread: u32): void {
  for (let i: u32 = L.AREA_FIRST; i < L.AREA_COUNT; i++) {
    const area: usize = areaAt(i);
    const state: u32 = atomicLoad(area, L.H_STATE);
    if ((state & 3) !== L.AREA_RECOVERING || load32(area, L.H_RECOVERER) !== thread) continue;
    store32(area, L.H_RECOVERER, threadId);
    areaRecover(area, state >>> 2);
  }
}

function areaRecover(area: usize, thread: u32): void {
  atomicCas(stateBase, L.S_GROWER, area, 0);
  memoryReach(atomicLoad(stateBase, L.S_TOP));
  for (let i: u32 = pageNext(0); i < atomicLoad(stateBase, L.S_TOP); i = pageNext(i + 1)) {
    const page: usize = descOf(i);
    const owner: u32 = atomicLoad(page, L.D_OWNER);
    if ((owner & ~L.FLAGS) >>> 0 === area && (owner & L.FLAG_LARGE) === 0) pageRecover(page, owner);
  }
  largeDisown(area);
  atomicStore(stateBase, L.S_ABANDONED, 1);
  heartbeatKeep(area);
  areaFree(area, thread);
}

/** Repairs a page of a dead thread, whose last operation may be incomplete, and gives it up. */
function pageRecover(page: usize, owner: u32): void {
  atomicStore(page, L.D_OWNER, (heapId | (owner & L.FLAGS & ~L.FLAG_FULL)) >>> 0);
  const medium: bool = (owner & L.FLAG_MEDIUM) !== 0;
  if (medium) mediumRepair(page);
  else pageRepair(page);
  pageGiveUp(page);
}

/**
 * Gives back slices that terminated threads were claiming, freeing or adding: they belong to the
 * state, are not free and are in no page. Works only while no other thread is attached, since a
 * living thread may be in the middle of the same operations: a thread increments S_ATTACHES before
 * it claims anything, so what was read before the count was found unchanged is true. Returns the
 * number of slices.
 */
export function lostCollect(): u32 {
  const attaches: u32 = atomicLoad(stateBase, L.S_ATTACHES);
  if (threadCount() !== 1) return 0;
  let lost: u32 = 0;
  let slice: u32 = 0;
  while (slice < atomicLoad(stateBase, L.S_TOP)) {
    const covered: u32 = slicesCovered(slice);
    if (covered === 0) {
      if (atomicLoad(stateBase, L.S_ATTACHES) !== attaches) return lost;
      sliceFind(slice);
      lost = lost + 1;
    }
    slice = slice + (covered !== 0 ? covered : 1);
  }
  if (lost !== 0 || !slicesAddUp()) slicesRecount(attaches);
  return lost;
}

/** Frees a lost slice; its thread may have died between a purge and the update of the counters. */
function sliceFind(slice: u32): void {
  bitClear(stateBase + L.STATE_STARTS, slice);
  store32(descOf(slice), L.D_OWNER, 0);
  store32(descOf(slice), L.D_BIN, L.BIN_OURS);
  if (load32(stateBase, L.S_COMMIT_NEEDED) !== 0 && !pagesAsk(L.PAGES_COMMIT, slice, 1)) return;
  slicePut(slice);
}

/**
 * Counts the slices again, also after a death between two updates of the counters. Counts made
 * before a thread attaches are right; if one attaches meanwhile, its updates win over the recount.
 */
function slicesRecount(attaches: u32): void {
  const before: u32 = atomicLoad(stateBase, L.S_PAGE_SLICES);
  const had: u32 = atomicLoad(stateBase, L.S_TABLE_SLICES);
  const own: u32 = atomicLoad(stateBase, L.S_OWN_SLICES);
  let pages: u32 = 0;
  let tables: u32 = 0;
  for (let i: u32 = 0; i < atomicLoad(stateBase, L.S_TOP); i++) {
    if (chunkTable(i) === 0) continue;
    if (bitIsSet(stateBase + L.STATE_STARTS, i)) pages = pages + load32(descOf(i), L.D_SLICES);
    if (load32(descOf(i), L.D_BIN) === L.BIN_TABLE) tables = tables + 1;
  }
  const sum: u32 = slicesFreeCount() + pages + tables + L.SHARED_STATE_SLICES;
  if (atomicLoad(stateBase, L.S_ATTACHES) !== attaches) return;
  if (!atomicCas(stateBase, L.S_PAGE_SLICES, before, pages)) return;
  atomicCas(stateBase, L.S_TABLE_SLICES, had, tables);
  atomicCas(stateBase, L.S_OWN_SLICES, own, sum);
}

/**
 * Threads that are attached, including dead ones that are not recovered yet; further heaps of a
 * thread do not count.
 */
// @cold
export function threadCount(): u32 {
  let count: u32 = 0;
  for (let i: u32 = L.AREA_FIRST; i < L.AREA_COUNT; i++) {
    if ((atomicLoad(areaAt(i), L.H_STATE) & 3) === L.AREA_FREE) continue;
    if (atomicLoad(areaAt(i), L.H_OF) === 0) count = count + 1;
  }
  return count;
}

/**
 * Slices from `slice` on that are free, a page, a table or not the state's; 0 = this one is lost.
 */
function slicesCovered(slice: u32): u32 {
  if (sliceIsFreeAnywhere(slice) || chunkTable(slice) === 0) return 1;
  const desc: usize = descOf(slice);
  const begins: bool = bitIsSet(stateBase + L.STATE_STARTS, slice);
  if (begins && load32(desc, L.D_OWNER) !== 0) return load32(desc, L.D_SLICES);
  const bin: u32 = load32(desc, L.D_BIN);
  return bin === L.BIN_NONE || bin === L.BIN_TABLE ? 1 : 0;
}

/**
 * Takes all abandoned pages, and what terminated threads have lost if no other thread is attached.
 */
export function leftoversCollect(): void {
  abandonedAdoptAll();
  lostCollect();
}
