/**
 * Threads that come, go and die (shared build only).
 *
 * A thread has an area for its heap, and a thread: a number that no other thread ever gets. The
 * area's state word holds both thread and state, so one compare-and-swap makes an area somebody's
 * and says whose it is. What a thread owns is found without its help, however it ended: pages by
 * their owner word, the turn to grow by S_GROWER, areas under recovery by H_RECOVERER.
 *
 *             attach                    recover
 *   FREE  ------------->  LIVE  ------------------->  RECOVERING
 *     ^                     |                             |
 *     +----- detach --------+         (pages are free     |
 *     +---------------------------------- to be taken) ---+
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
import { mediumMend } from "../pages/medium.ts";
import { pageDrop, pageMend } from "../pages/page.ts";
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

/** A number for a thread that is to come, from 1 on; 0 = there are none left. */
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

/** Makes a free area the thread's, or answers 0. */
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
 * Binds this instance to the state at `base` with a fresh heap of its own. `thread` is one that
 * threadIdDraw gave to nobody else, or 0 for a new one. Answers the thread; 0 = all areas are taken,
 * or the thread is in use.
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

/** But for its state, and for the counters: see counts.ts. */
function areaZero(area: usize): void {
  memoryZero(area, L.H_STATE);
  memoryZero(area + L.H_STATE + 4, L.H_COUNTS - L.H_STATE - 4);
  memoryZero(area + L.H_QUEUES, L.AREA_SIZE - L.H_QUEUES);
}

/** Another area of this thread, zero; 0 = all are taken. */
export function areaTakeOwn(): usize {
  const area: usize = areaTake(threadId);
  if (area !== 0) areaZero(area);
  return area;
}

/** Whether an id is that of a heap of this thread. */
export function heapIsOurs(heap: usize): bool {
  return heap > L.OWNER_ABANDONED && load32(heap, L.H_STATE) === areaState(threadId, L.AREA_LIVE);
}

/** The words of a heap that are not zero at first; the area is zero. */
export function heapBegin(): void {
  store32(heapBase, L.H_ID, heapId);
  store32(heapBase, L.H_RETIRE_MIN, L.BIN_FULL);
  store32(heapBase, L.H_WARM, L.WARM_MAX);
  queuesInit();
  if (HARDENED) randomBegin();
}

/** The thread of the thread that this instance is. */
export function threadBound(): u32 {
  return threadId;
}

/** The id of this thread's heap. */
export function threadHeap(): u32 {
  return heapId;
}

/**
 * Ends this thread's heaps: their blocks stay valid, their pages are free to be taken by others.
 * Does nothing for a thread that others have recovered already.
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

/** Makes an area of this thread a free one; its heap has no pages. */
export function areaGive(area: usize): void {
  heartbeatKeep(area);
  areaFree(area, threadId);
}

/** H_OF goes first: who takes the area is a thread from the first moment. */
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

/** Gives up a page of ours that is in no queue, or gives it back when nothing lives in it. */
function pageGiveUp(page: usize): void {
  if (load32(page, L.D_USED) === 0) {
    pageDrop(page);
    return;
  }
  pageAbandon(page);
  if (pageWasFreedIn(page)) pageAdopt(page);
}

/** Adds what an area has counted to the books of the state, before it is used again. */
function heartbeatKeep(area: usize): void {
  atomicAdd(stateBase, L.S_HEARTBEAT, load32(area, L.H_HEARTBEAT));
}

/** The next slice from `slice` on where a page begins, or the top. */
// @cold
function pageNext(slice: u32): u32 {
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  let next: u32 = slice;
  while (next < top && !bitIsSet(stateBase + L.STATE_STARTS, next)) next = next + 1;
  return next;
}

/** Large pages need no owner; their word only tells walks whose blocks they are. */
function largeDisown(heap: u32): void {
  for (let i: u32 = pageNext(0); i < atomicLoad(stateBase, L.S_TOP); i = pageNext(i + 1)) {
    const page: usize = descOf(i);
    const owner: u32 = atomicLoad(page, L.D_OWNER);
    if ((owner & ~L.FLAGS) >>> 0 !== heap || (owner & L.FLAG_LARGE) === 0) continue;
    atomicCas(page, L.D_OWNER, owner, (L.OWNER_ABANDONED | (owner & L.FLAGS)) >>> 0);
  }
}

/**
 * Recovers what a thread left that ended without threadDetach. It must not run any more. Whether
 * there was such a thread; a second call does nothing.
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

/** Ends the recoveries in whose middle the thread with a thread died. */
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

/** Mends a page of a dead thread, whose last operation may be half done, and gives it up. */
function pageRecover(page: usize, owner: u32): void {
  atomicStore(page, L.D_OWNER, (heapId | (owner & L.FLAGS & ~L.FLAG_FULL)) >>> 0);
  const medium: bool = (owner & L.FLAG_MEDIUM) !== 0;
  if (medium) mediumMend(page);
  else pageMend(page);
  pageGiveUp(page);
}

/**
 * Gives back slices that terminated threads were just claiming, freeing or adding: they are ours,
 * not free and in no page. Only while no other thread is there, since a living one may be doing
 * the same: a thread that comes says so in S_ATTACHES before it claims anything, so what was seen
 * before a look at a count that has not changed is true. Answers the number of slices.
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

/** Makes a lost slice a free one; its thread may have died between a purge and its books. */
function sliceFind(slice: u32): void {
  bitClear(stateBase + L.STATE_STARTS, slice);
  store32(descOf(slice), L.D_OWNER, 0);
  store32(descOf(slice), L.D_BIN, L.BIN_OURS);
  if (load32(stateBase, L.S_COMMIT_NEEDED) !== 0 && !pagesAsk(L.PAGES_COMMIT, slice, 1)) return;
  slicePut(slice);
}

/**
 * Counts the slices anew, also after a death between two words of the books. What was counted
 * before a thread came is true; one that comes then wins over a count that it makes wrong.
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
 * Threads that are attached, dead ones too until they are recovered; not their heaps beside the
 * first.
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

/** Slices from `slice` on that are free, a page, a table or not ours; 0 = this one is lost. */
function slicesCovered(slice: u32): u32 {
  if (sliceIsFreeAnywhere(slice) || chunkTable(slice) === 0) return 1;
  const desc: usize = descOf(slice);
  const begins: bool = bitIsSet(stateBase + L.STATE_STARTS, slice);
  if (begins && load32(desc, L.D_OWNER) !== 0) return load32(desc, L.D_SLICES);
  const bin: u32 = load32(desc, L.D_BIN);
  return bin === L.BIN_NONE || bin === L.BIN_TABLE ? 1 : 0;
}

/** Takes all abandoned pages, and what terminated threads have lost, if this thread is alone. */
export function leftoversCollect(): void {
  abandonedAdoptAll();
  lostCollect();
}
