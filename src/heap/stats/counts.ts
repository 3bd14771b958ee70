/** Reads the counters of all heaps of a memory: see src/core/slices/counts.ts. */
import { heapDamaged } from "../../common/errors.ts";
import * as L from "../../core/layout/layout.ts";
import type { CountOf } from "./tally.ts";

type Words = Uint32Array;

/** What a heap counts at all times. */
export interface HeapCounts {
  /** Pages. The peaks of several heaps are added up. */
  readonly pages: CountOf;
  /** Bytes of pages. */
  readonly pageBytes: CountOf;
  /** Pages of threads that have ended. */
  readonly abandoned: CountOf;
  /** Threads that have attached. */
  readonly threads: CountOf;
  /** How often a page has taken more of its blocks into use. */
  readonly extends: number;
  /** Empty pages that were given back at once. */
  readonly noRetires: number;
  /** How often the memory has grown. */
  readonly growths: number;
  /** Searches for a page with a free block. */
  readonly searches: number;
  /** How many pages these have looked at. */
  readonly searchedPages: number;
}

/** What is known of the present besides the counters. */
interface Present {
  pages: number;
  pageBytes: number;
  pageBytesPeak: number;
  abandonedPages: number;
  threads: number;
}

function word(words: Words, address: number): number {
  return (words[address >>> 2] as number) >>> 0;
}

/**
 * The areas of all heaps, also of those that have ended.
 *
 * @throws HeapError ERR_HEAP_DAMAGED when the slices with areas lead anywhere else, or in a circle.
 */
export function* areas(words: Words, state: number, shared: boolean): Generator<number> {
  if (shared) {
    for (let i = L.AREA_FIRST; i < L.AREA_COUNT; i++) yield state + L.STATE_AREAS + i * L.AREA_SIZE;
    return;
  }
  yield state + L.STATE_HEAP;
  let left = words.length / (L.SLICE_SIZE / 4);
  for (let slice = word(words, state + L.S_AREAS); slice !== 0; left--) {
    const ends = slice + L.SLICE_SIZE > words.length * 4;
    if (ends || slice % L.SLICE_SIZE !== 0 || left <= 0) throw heapDamaged(slice);
    for (let at = slice; at < slice + L.SLICE_SIZE; at += L.AREA_SIZE) yield at;
    slice = word(words, slice + L.H_AREAS);
  }
}

/** A counter, added up over all heaps; without what it was when it was reset. */
function sumOf(words: Words, state: number, heaps: number[], counter: number): number {
  const all = heaps.reduce((sum, heap) => sum + word(words, heap + L.H_COUNTS + counter), 0);
  return (all - word(words, state + L.S_COUNTS + counter)) >>> 0;
}

/** What has gone and what is there are what has come. */
function countOf(current: number, freed: number, peak: number): CountOf {
  const total = current + freed;
  return { peak: Math.min(Math.max(peak, current), total), total, freed, current };
}

export function readCounts(
  words: Words,
  state: number,
  shared: boolean,
  present: Present,
): HeapCounts {
  const heaps = [...areas(words, state, shared)];
  const sum = (counter: number) => sumOf(words, state, heaps, counter);
  const slicesGone = sum(L.COUNT_SLICES_GONE) * L.SLICE_SIZE;
  const gone = (came: number, now: number) => Math.max(0, came - now);
  const attaches = shared ? word(words, state + L.S_ATTACHES) : 1;
  const abandonedGone = gone(sum(L.COUNT_ABANDONED), present.abandonedPages);
  return {
    pages: countOf(present.pages, sum(L.COUNT_PAGES_GONE), sum(L.COUNT_PAGES_PEAK)),
    pageBytes: countOf(present.pageBytes, slicesGone, present.pageBytesPeak),
    abandoned: countOf(present.abandonedPages, abandonedGone, 0),
    threads: countOf(
      present.threads,
      gone(attaches, present.threads),
      word(words, state + L.S_THREADS_PEAK),
    ),
    extends: sum(L.COUNT_EXTENDS),
    noRetires: sum(L.COUNT_NO_RETIRE),
    growths: word(words, state + L.S_GROWTHS),
    searches: sum(L.COUNT_SEARCHES),
    searchedPages: sum(L.COUNT_SEARCHED),
  };
}

/** Totals and peaks begin again with what is there now; but threads count from the beginning. */
export function resetCounts(words: Words, state: number, shared: boolean): void {
  const heaps = [...areas(words, state, shared)];
  const set = (address: number, value: number) => {
    words[address >>> 2] = value;
  };
  for (const heap of heaps) {
    const counts = heap + L.H_COUNTS;
    const now = word(words, counts) - word(words, counts + L.COUNT_PAGES_GONE);
    set(counts + L.COUNT_PAGES_PEAK, Math.max(0, now | 0));
  }
  for (let counter = 0; counter < L.COUNT_WORDS * 4; counter += 4) {
    const all = heaps.reduce((sum, heap) => sum + word(words, heap + L.H_COUNTS + counter), 0);
    set(state + L.S_COUNTS + counter, counter === L.COUNT_PAGES_PEAK ? 0 : all);
  }
  for (const counter of [L.S_GROWTHS, L.S_COMMITS, L.S_PURGES, L.S_RESETS, L.S_PURGED, L.S_RESET]) {
    set(state + counter, 0);
  }
  set(state + L.S_COMMITTED_PEAK, word(words, state + L.S_COMMITTED));
  set(state + L.S_PAGE_SLICES_PEAK, word(words, state + L.S_PAGE_SLICES));
}
