/**
 * Heaps beside the first one of a thread: pages of their own, so that all their blocks can go at
 * once, in the same state, so that any block can be freed from anywhere.
 *
 * An instance works on one heap at a time, the one that globals.ts names; another heap is served by
 * naming it for the length of a call. That costs the fast paths nothing, and a heap needs no more
 * than its area: of 2 KiB, in a shared state among those of the threads, else in slices that count
 * as tables and are kept.
 *
 * The first heap of a thread is its backing heap: it takes over what others leave, and is never
 * destroyed. The others adopt no pages of threads that have ended: destroying them would free
 * blocks of strangers.
 */

import { backingBind, heapBind, heapIsBacking } from "../layout/bound-heap.ts";
import { bitIsSet, descOf, pageOf } from "../layout/desc.ts";
import { heapBase, heapsMark, observing, stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { pageDrop, pageHolds, pageRelease } from "../pages/page.ts";
import { queueOf, queuePush, queueRemove, queueToFull } from "../pages/queue.ts";
import { remoteTakeAll } from "../pages/remote.ts";
import { tableSliceAlloc } from "../slices/supply.ts";
import { atomicCas, atomicLoad, atomicStore, SHARED } from "../target/atomics.ts";
import { load32, memoryZero, store32 } from "../target/glue.ts";
import { observePageGone } from "./observe.ts";
import { areaGive, areaTakeOwn, heapBegin } from "./threads.ts";

/** A new heap of this thread, which is its id; 0 = no memory, or no area. */
export function heapNew(): usize {
  const area: usize = SHARED ? areaTakeOwn() : slotTake();
  if (area === 0) return 0;
  heapsMark(true);
  const was: usize = backingBind();
  store32(area, L.H_OF, heapBase);
  heapBind(area);
  heapBegin();
  heapBind(was);
  return area;
}

/** An area of zeros in a slice of areas; 0 = out of memory. */
function slotTake(): usize {
  for (
    let slice: usize = load32(stateBase, L.S_AREAS);
    slice !== 0;
    slice = load32(slice, L.H_AREAS)
  ) {
    for (let area: usize = slice; area - slice < L.SLICE_SIZE; area += L.AREA_SIZE) {
      if (load32(area, L.H_ID) === 0) return area;
    }
  }
  return slotsAdd();
}

/** 32 more areas; the newest slice leads to the older ones. */
function slotsAdd(): usize {
  const area: usize = tableSliceAlloc();
  if (area === 0) return 0;
  store32(area, L.H_AREAS, load32(stateBase, L.S_AREAS));
  store32(stateBase, L.S_AREAS, area);
  return area;
}

/** The counters stay: see counts.ts. */
function slotGive(area: usize): void {
  const older: usize = load32(area, L.H_AREAS);
  memoryZero(area, L.H_COUNTS);
  memoryZero(area + L.H_QUEUES, L.AREA_SIZE - L.H_QUEUES);
  store32(area, L.H_AREAS, older);
}

/** Ends a heap that has no pages; its heartbeat stays in the books. */
function heapEnd(heap: usize): void {
  if (SHARED) {
    areaGive(heap);
    return;
  }
  const backing: usize = load32(heap, L.H_OF);
  store32(backing, L.H_HEARTBEAT, load32(backing, L.H_HEARTBEAT) + load32(heap, L.H_HEARTBEAT));
  slotGive(heap);
}

/** The backing heap takes over all pages, so every block stays valid. */
export function heapDelete(heap: usize): void {
  if (!heapCanEnd(heap)) return;
  const was: usize = heapBind(heap);
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) {
    let page: usize = load32(queueOf(bin), L.Q_FIRST);
    while (page !== 0) {
      pageMove(page, heap);
      page = load32(queueOf(bin), L.Q_FIRST);
    }
  }
  const backing: usize = load32(heap, L.H_OF);
  largeSettle(heap, backing);
  if (SHARED) {
    atomicStore(backing, L.H_REMOTE, 1);
    atomicStore(backing, L.H_REMOTE_MEDIUM, 1);
  }
  heapLeaveFor(was, heap, backing);
}

/** Gives every page of a heap back, whatever lives in it. No thread may use its blocks any more. */
export function heapDestroy(heap: usize): void {
  if (!heapCanEnd(heap)) return;
  const was: usize = heapBind(heap);
  if (SHARED && (observing & L.OBSERVE_EVENTS) !== 0) remoteTakeAll();
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) {
    let page: usize = load32(queueOf(bin), L.Q_FIRST);
    while (page !== 0) {
      observePageGone(page);
      pageRelease(page);
      page = load32(queueOf(bin), L.Q_FIRST);
    }
  }
  largeSettle(heap, 0);
  heapLeaveFor(was, heap, load32(heap, L.H_OF));
}

/** Not a backing heap, nor one that has ended. */
function heapCanEnd(heap: usize): bool {
  return heap !== 0 && load32(heap, L.H_OF) !== 0;
}

/** Binds the heap that was bound before; the backing heap if that is the one that ends. */
// @cold
function heapLeaveFor(was: usize, heap: usize, backing: usize): void {
  heapBind(was === heap ? backing : was);
  heapEnd(heap);
}

/**
 * Files a page of the heap that is bound with its backing heap. Who pushed a block on its list and
 * saw the old owner did so before the owner changed; who comes later sees the new one: the backing
 * heap looks once at all pages, and misses none.
 */
function pageMove(page: usize, heap: usize): void {
  if (load32(page, L.D_USED) === 0) {
    pageRelease(page);
    return;
  }
  const flags: u32 = load32(page, L.D_OWNER) & L.FLAGS;
  queueRemove(page);
  store32(page, L.D_RETIRE, 0);
  backingBind();
  atomicStore(page, L.D_OWNER, (heapBase | (flags & ~L.FLAG_FULL)) >>> 0);
  queuePush(page);
  if ((flags & L.FLAG_FULL) !== 0) queueToFull(page);
  heapBind(heap);
}

/** Large pages are in no queue: the walk finds them. They become another heap's, or go. */
function largeSettle(heap: usize, to: usize): void {
  const top: u32 = load32(stateBase, L.S_TOP);
  for (let slice: u32 = 0; slice < top; slice++) {
    if (!bitIsSet(stateBase + L.STATE_STARTS, slice)) continue;
    const page: usize = descOf(slice);
    const owner: u32 = atomicLoad(page, L.D_OWNER);
    if ((owner & ~L.FLAGS) >>> 0 !== heap || (owner & L.FLAG_LARGE) === 0) continue;
    if (to === 0) {
      observePageGone(page);
      pageDrop(page);
    } else {
      // Another thread may be freeing the block: then the page is nobody's and must stay so.
      atomicCas(page, L.D_OWNER, owner, (to | (owner & L.FLAGS)) >>> 0);
    }
  }
}

/** The id of the heap in whose blocks, in use or free, p lies; 0 = in none. */
export function heapOf(p: usize): usize {
  const page: usize = pageOf(p);
  if (page === 0 || !pageHolds(page, p)) return 0;
  return (load32(page, L.D_OWNER) & ~L.FLAGS) >>> 0;
}

/** The id of the backing heap. */
export function heapBacking(): usize {
  return heapIsBacking() ? heapBase : load32(heapBase, L.H_OF);
}

/** The id of the heap that is bound. */
export function heapBound(): usize {
  return heapBase;
}
