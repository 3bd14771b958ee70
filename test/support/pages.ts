/** Pages, spans and their counters, by address or descriptor. */

import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import { type CoreSubject, heapOffset } from "./core.js";

export function usedOf(s: CoreSubject, page: number): number {
  return s.word(page, L.D_USED);
}

export function retireOf(s: CoreSubject, page: number): number {
  return s.word(page, L.D_RETIRE);
}

export function isFull(s: CoreSubject, page: number): boolean {
  return (s.word(page, L.D_OWNER) & L.FLAG_FULL) !== 0;
}

/** The pages of a bin's queue, first to last. */
export function queuePages(s: CoreSubject, bin: number): number[] {
  const pages = [];
  const queue = s.base + heapOffset(s.build) + L.H_QUEUES + (bin << L.QUEUE_SHIFT);
  for (let page = s.word(queue, L.Q_FIRST); page !== 0; page = s.word(page, L.D_NEXT)) {
    pages.push(page);
  }
  return pages;
}

export function fullPages(s: CoreSubject): number[] {
  return queuePages(s, L.BIN_FULL);
}

/** Free runs of slices, [first slice, length], by address. */
export function spans(s: CoreSubject): [number, number][] {
  const found: [number, number][] = [];
  for (let bin = 1; bin < L.SPAN_BINS; bin++) {
    let span = s.state(L.S_SPANS + bin * 4);
    for (; span !== 0; span = s.word(span, L.D_NEXT)) {
      found.push([s.word(span, L.D_START) / L.SLICE_SIZE, s.word(span, L.D_SLICES)]);
    }
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** Every validity check passes. */
export function assertValid(s: CoreSubject): void {
  assert.equal(s.core.heapIsValid(), 1, "heapIsValid");
  assert.equal(s.core.committedIsValid(), 1, "committedIsValid");
}

/** Free slices; in the build for threads the bitmap has them. */
export function freeSlices(s: CoreSubject): number {
  return s.build === "single" ? s.state(L.S_FREE_SLICES) : s.core.slicesFreeCount();
}

/** Nothing is allocated any more, and the counters say so. */
export function assertEmpty(s: CoreSubject): void {
  s.core.heapCollect();
  assertValid(s);
  const counters = { pageSlices: s.state(L.S_PAGE_SLICES), pages: s.heap(L.H_PAGES) };
  assert.deepEqual(counters, { pageSlices: 0, pages: 0 });
}
