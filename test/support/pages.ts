/** Questions about pages, spans and their books, asked by address or descriptor. */

import assert from "node:assert/strict";
import {
  BIN_FULL,
  D_NEXT,
  D_OWNER,
  D_RETIRE,
  D_SLICES,
  D_START,
  D_USED,
  FLAG_FULL,
  H_PAGES,
  H_QUEUES,
  Q_FIRST,
  QUEUE_SHIFT,
  S_FREE_SLICES,
  S_PAGE_SLICES,
  S_SPANS,
  SLICE_SIZE,
  SPAN_BINS,
} from "#src/core/layout/layout.js";
import { type CoreSubject, heapOffset } from "./core.js";

export function usedOf(s: CoreSubject, page: number): number {
  return s.word(page, D_USED);
}

export function retireOf(s: CoreSubject, page: number): number {
  return s.word(page, D_RETIRE);
}

export function isFull(s: CoreSubject, page: number): boolean {
  return (s.word(page, D_OWNER) & FLAG_FULL) !== 0;
}

/** The pages of a bin's queue, first to last. */
export function queuePages(s: CoreSubject, bin: number): number[] {
  const pages = [];
  const queue = s.base + heapOffset(s.build) + H_QUEUES + (bin << QUEUE_SHIFT);
  for (let page = s.word(queue, Q_FIRST); page !== 0; page = s.word(page, D_NEXT)) {
    pages.push(page);
  }
  return pages;
}

export function fullPages(s: CoreSubject): number[] {
  return queuePages(s, BIN_FULL);
}

/** Free runs of slices, [first slice, length], by address. */
export function spans(s: CoreSubject): [number, number][] {
  const found: [number, number][] = [];
  for (let bin = 1; bin < SPAN_BINS; bin++) {
    let span = s.state(S_SPANS + bin * 4);
    for (; span !== 0; span = s.word(span, D_NEXT)) {
      found.push([s.word(span, D_START) / SLICE_SIZE, s.word(span, D_SLICES)]);
    }
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** Every walk passes. */
export function assertValid(s: CoreSubject): void {
  assert.equal(s.core.heapIsValid(), 1, "heapIsValid");
  assert.equal(s.core.committedIsValid(), 1, "committedIsValid");
}

/** Slices that are free: in the build for threads the bitmap says it. */
export function freeSlices(s: CoreSubject): number {
  return s.build === "single" ? s.state(S_FREE_SLICES) : s.core.slicesFreeCount();
}

/** Nothing is allocated any more, and the books know it. */
export function assertEmpty(s: CoreSubject): void {
  s.core.heapCollect();
  assertValid(s);
  const books = { pageSlices: s.state(S_PAGE_SLICES), pages: s.heap(H_PAGES) };
  assert.deepEqual(books, { pageSlices: 0, pages: 0 });
}
