/**
 * Counters for statistics. They count rare events, so they are always on. Each heap counts in its
 * own area with plain stores. A heap or thread that ends leaves its counts there, and the next one
 * in that area continues them. Readers sum all areas, including free ones, so no counts need to be
 * moved when a thread dies.
 */

import { heapBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32, store32 } from "../target/glue.ts";

/** Adds to a counter of the bound heap. */
export function countAdd(counter: u32, n: u32): void {
  const at: usize = heapBase + counter;
  store32(at, L.H_COUNTS, load32(at, L.H_COUNTS) + n);
}

/** A heap that drops pages of others may have a negative number of pages: that is not a peak. */
// @cold
export function countPage(): void {
  countAdd(L.COUNT_PAGES, 1);
  const made: u32 = load32(heapBase + L.COUNT_PAGES, L.H_COUNTS);
  const now: u32 = (made - load32(heapBase + L.COUNT_PAGES_GONE, L.H_COUNTS)) >>> 0;
  if (now >= 0x80000000 || now <= load32(heapBase + L.COUNT_PAGES_PEAK, L.H_COUNTS)) return;
  store32(heapBase + L.COUNT_PAGES_PEAK, L.H_COUNTS, now);
}

// @cold
export function countPageGone(slices: u32): void {
  countAdd(L.COUNT_PAGES_GONE, 1);
  countAdd(L.COUNT_SLICES_GONE, slices);
}
