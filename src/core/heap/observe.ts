/**
 * Reports every malloc, and if wanted every free, to the host, without cost while nothing observes
 * them. While something does, all entries of the direct tables point to the empty page (the host
 * writes them when it begins), so malloc takes its slow path, and `freeId` is not the id of any
 * heap, so free does. The slow paths report. Blocks come from the same pages as otherwise.
 *
 * Statistics and samples are made by the host. The core only counts the bytes that pass before the
 * host needs the next malloc, so that a sampler costs a call for each sample and not for each
 * block.
 */

import { freeId, heapId, heapsMade, observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { SHARED } from "../target/atomics.ts";
import { errorRaise } from "../target/glue.ts";
import { heapIsOurs } from "./threads.ts";

/** Bytes that pass before the next malloc is reported. */
let left: u32 = 0;
/** The size that belongs to the event that is being reported: see observeSize. */
let eventSize: u32 = 0;
/** Set while an aligned block is made: it is reported later, with the address that is returned. */
let held: bool = false;

/** The next malloc is reported when so many bytes have been requested. */
export function observeSkip(bytes: u32): void {
  left = bytes;
}

/** Bytes that were left at the malloc that is being reported. */
export function observeLeft(): u32 {
  return left;
}

/** Bytes that the reported malloc requested, or that the reported resized block had before. */
export function observeSize(): u32 {
  return eventSize;
}

/** Reports a block that the program gets at p, for a request of `size` bytes. */
// @cold
export function observeMalloc(p: usize, size: u32): void {
  if (held || (observing & L.OBSERVE_MALLOCS) === 0) return;
  if (size < left) {
    left = left - size;
    return;
  }
  eventSize = size;
  errorRaise(L.ALLOCATED, p);
}

export function observeHold(hold: bool): void {
  held = hold;
}

/**
 * Reports a free on the slow path, of p in a page of `owner`. For another heap of this thread, free
 * runs again with that heap bound, and reports then.
 */
// @cold
export function observeFree(p: usize, owner: u32): void {
  const heap: usize = (owner & ~L.FLAGS) >>> 0;
  const elsewhere: bool = heap !== heapId && (owner & L.FLAG_LARGE) === 0;
  if (elsewhere && (!SHARED || (heapsMade && heapIsOurs(heap)))) return;
  observeFreed(p);
}

export function observeFreed(p: usize): void {
  if (freeId !== heapId) errorRaise(L.FREED, p);
}

/** Reports a block at p that was resized in place, from `from` bytes. */
// @cold
export function observeResize(p: usize, from: u32): void {
  eventSize = from;
  if ((observing & L.OBSERVE_EVENTS) !== 0) errorRaise(L.RESIZED, p);
}

/** Reports a page that is given back with all its blocks. */
// @cold
export function observePageGone(page: usize): void {
  if ((observing & L.OBSERVE_EVENTS) !== 0) errorRaise(L.PAGE_GONE, page);
}
