/**
 * Sub-heaps, beside the first heap of a thread: with pages of their own, so that all their blocks
 * can be freed at once, and in the same state, so that any block can be freed from any heap.
 *
 * An instance works on one heap at a time, the bound one (globals.ts); a call on another heap binds
 * it while the call runs. The fast paths have no extra work, and a heap needs only its area of 2
 * KiB: in a shared state one of the areas of the threads, else one in slices that count as tables
 * and are kept.
 *
 * The first heap of a thread is its backing heap: it takes over the pages of deleted heaps, and is
 * never destroyed. Sub-heaps adopt no abandoned pages: destroying them would free blocks of other
 * threads.
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
import { areaGive, areaNext, areaTakeOwn, heapBegin } from "./threads.ts";

/** Returns the id of a new heap of this thread; 0 = no memory, or no area. */
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

/** Returns an area of zeros in a slice of areas; 0 = out of memory. */
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

/** Makes 32 more areas; the newest slice links to the older ones. */
function slotsAdd(): usize {
  const area: usize = tableSliceAlloc();
  if (area === 0) return 0;
  store32(area, L.H_AREAS, load32(stateBase, L.S_AREAS));
  store32(stateBase, L.S_AREAS, area);
  return area;
}

/** Frees an area. Its counters stay: see counts.ts. */
function slotGive(area: usize): void {
  const older: usize = load32(area, L.H_AREAS);
  memoryZero(area, L.H_COUNTS);
  memoryZero(area + L.H_QUEUES, L.AREA_SIZE - L.H_QUEUES);
  store32(area, L.H_AREAS, older);
}

/** Ends a heap that has no pages; its heartbeat is added to that of the state. */
function heapEnd(heap: usize): void {
  if (SHARED) {
    areaGive(heap);
    return;
  }
  const backing: usize = load32(heap, L.H_OF);
  store32(backing, L.H_HEARTBEAT, load32(backing, L.H_HEARTBEAT) + load32(heap, L.H_HEARTBEAT));
  slotGive(heap);
}

/** Ends a heap; the backing heap takes over all its pages, so every block stays valid. */
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
  heapEndRestore(was, heap, backing);
}

/** Ends a heap and gives back all its pages, with all blocks. No thread may use them any more. */
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
  heapEndRestore(was, heap, load32(heap, L.H_OF));
}

/** The heap of this thread that follows another one, or 0; 0 is followed by the first. */
// @cold
export function heapNext(heap: usize): usize {
  if (SHARED) return areaNext(heap);
  const first: usize = stateBase + L.STATE_HEAP;
  if (heap === 0) return first;
  let slice: usize = heap === first ? load32(stateBase, L.S_AREAS) : (heap & 0xffff0000) >>> 0;
  let area: usize = heap === first ? slice : heap + L.AREA_SIZE;
  while (slice !== 0) {
    for (; area - slice < L.SLICE_SIZE; area += L.AREA_SIZE) {
      if (load32(area, L.H_ID) !== 0) return area;
    }
    slice = load32(slice, L.H_AREAS);
    area = slice;
  }
  return 0;
}

/** Whether a heap is a sub-heap that has not ended. */
function heapCanEnd(heap: usize): bool {
  return heap !== 0 && load32(heap, L.H_OF) !== 0;
}

/** Binds the heap that was bound before, or the backing heap if that heap is ending. */
// @cold
function heapEndRestore(was: usize, heap: usize, backing: usize): void {
  heapBind(was === heap ? backing : was);
  heapEnd(heap);
}

/**
 * Moves a page of the bound heap to its backing heap. A thread that pushed a block and read the old
 * owner did so before the owner changed; a later one reads the new owner. So the backing heap
 * misses no block if it looks at all pages once.
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

/** Gives a heap's large pages, which are in no queue, to another heap, or drops them. */
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
      // Another thread may be freeing the block: then the page has no owner and must stay so.
      atomicCas(page, L.D_OWNER, owner, (to | (owner & L.FLAGS)) >>> 0);
    }
  }
}

/** The id of the heap with the block, in use or free, that contains p; 0 = there is none. */
export function heapOf(p: usize): usize {
  const page: usize = pageOf(p);
  if (page === 0 || !pageHolds(page, p)) return 0;
  return (load32(page, L.D_OWNER) & ~L.FLAGS) >>> 0;
}

/** The id of the backing heap. */
export function heapBacking(): usize {
  return heapIsBacking() ? heapBase : load32(heapBase, L.H_OF);
}

/** The id of the bound heap. */
export function heapBound(): usize {
  return heapBase;
}
