/**
 * Telling the host of every malloc, and if wanted of every free, at no price for who does not ask:
 * while somebody watches, all entries of the direct tables lead to the empty page (the host writes
 * them when it begins), so that malloc takes its long way, and `freeId` is no heap's id, so that
 * free does. There both tell the host.
 * Blocks come from the same places as without.
 *
 * What is made of it, statistics of sizes or samples, is the host's: here stands only the count of
 * bytes that pass before the host wants to hear of the next malloc, so that a sampler costs a call
 * for each sample and not for each block.
 */

import { freeId, heapId, heapsMade, observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { SHARED } from "../target/atomics.ts";
import { errorRaise } from "../target/glue.ts";
import { heapIsOurs } from "./threads.ts";

/** Bytes that pass before the host is told of a malloc. */
let left: u32 = 0;
/** What the event that is told now is about: see observeSize. */
let eventSize: u32 = 0;
/** An aligned block is not yet where its user sees it. */
let held: bool = false;

/** The host hears of the next malloc when so many bytes have been asked for. */
export function observeSkip(bytes: u32): void {
  left = bytes;
}

/** Bytes that were left to go at the malloc that the host is told of. */
export function observeLeft(): u32 {
  return left;
}

/** Bytes that the malloc which the host is told of was asked for, or a resized block had. */
export function observeSize(): u32 {
  return eventSize;
}

/** A block that its user gets at p, of a request for `size` bytes. */
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
 * A free that takes its long way, of p in a page of an owner. One of another heap of this thread
 * comes again, with that heap bound.
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

/** A block at p that was resized where it stands, from so many bytes. */
// @cold
export function observeResize(p: usize, from: u32): void {
  eventSize = from;
  if ((observing & L.OBSERVE_EVENTS) !== 0) errorRaise(L.RESIZED, p);
}

/** A page that goes with all its blocks. */
// @cold
export function observePageGone(page: usize): void {
  if ((observing & L.OBSERVE_EVENTS) !== 0) errorRaise(L.PAGE_GONE, page);
}
