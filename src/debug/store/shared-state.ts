/**
 * The metadata that threads that share a heap have in common, in a SharedArrayBuffer of its own, so
 * that no stray write of a program reaches it. All numbers are words of 32 bits.
 *
 *   header     80 words: counters, heads of lists
 *   directory  65536 words: for each 64 KiB of the heap's memory its page, or 0
 *   areas      taken from the front of the rest: page records with a row for each slot, and chunks
 *              of text. Records without memory wait in lists for any thread that needs one of their
 *              size; chunks of ended threads to which no record refers are used again.
 *
 * Every page belongs to the thread that made it: only that thread hands out its slots. Any thread
 * frees them, by one compare-and-swap on the slot's word. No thread waits for another that may have
 * ended: a slot that a thread left half done is never used again.
 */

/** Bytes of the buffer, enough for two million slots. Only touched pages take physical memory. */
export const STATE_BYTES = 2 ** 26;

const NODES = 1;
const TAKEN = 2;
const ORDER = 6;
const CHUNKS = 8;
const THREADS = 9;
const PAGES = 10;
const HEAPS = 11;
const EPOCH = 12;
/** The word of a record that links records without memory. */
const SPARE_LINK = 3;
export const LIVE = 3;
export const REQUESTED = 4;
export const HELD = 5;
/** requestedMemoryLimit in bytes, at most 2^32 - 1. */
export const LIMIT = 7;
/** Heads of lists of records without memory, by the number of their slots. */
const SPARES = 16;
const SPARE_LISTS = 64;
const DIRECTORY = SPARES + SPARE_LISTS;
const CELLS = 65536;
const AREAS = DIRECTORY + CELLS;
/** Bytes of a cell, as a shift: the alignment of the pages of shared heaps. */
export const CELL_SHIFT = 16;

export class SharedState {
  readonly words: Int32Array;

  /** Makes a new state, or opens that of other threads. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(STATE_BYTES)) {
    this.words = new Int32Array(buffer);
    if (Atomics.compareExchange(this.words, TAKEN, 0, AREAS) === 0) {
      Atomics.store(this.words, LIMIT, -1);
    }
  }

  get buffer(): SharedArrayBuffer {
    return this.words.buffer as SharedArrayBuffer;
  }

  /** Takes `count` zero words; returns the index of the first, or 0 when there are none. */
  take(count: number): number {
    for (;;) {
      const at = Atomics.load(this.words, TAKEN);
      if (at + count > this.words.length) return 0;
      if (Atomics.compareExchange(this.words, TAKEN, at, at + count) === at) return at;
    }
  }

  /** Bytes that were ever taken. */
  get touched(): number {
    return Math.min(this.get(TAKEN), this.words.length) * 4;
  }

  get(counter: number): number {
    return Atomics.load(this.words, counter) >>> 0;
  }

  set(counter: number, value: number): void {
    Atomics.store(this.words, counter, value);
  }

  /** Returns the new value. */
  add(counter: number, value: number): number {
    return (Atomics.add(this.words, counter, value) + value) >>> 0;
  }

  /** A number for a node of a stack, never used before. */
  node(): number {
    return this.add(NODES, 1);
  }

  order(): number {
    return this.add(ORDER, 1);
  }

  /** A number for a thread that attaches; the first is 1. */
  thread(): number {
    return this.add(THREADS, 1);
  }

  /** An id for a heap beside the first, whose id is 1. */
  heap(): number {
    return this.add(HEAPS, 1) + 1;
  }

  /** Changes when all pages are given back. */
  get epoch(): number {
    return this.get(EPOCH);
  }

  /** The page at an address, or 0. */
  pageAt(address: number): number {
    return this.get(DIRECTORY + (address >>> CELL_SHIFT));
  }

  /** Sets the page of the cells of a run; 0 = none. */
  setPage(base: number, bytes: number, page: number): void {
    const end = base + bytes;
    for (let at = base; at < end; at += 2 ** CELL_SHIFT) {
      Atomics.store(this.words, DIRECTORY + (at >>> CELL_SHIFT), page);
    }
  }

  /** Adds an area at the head of a list; its word at `link` leads to the next one. */
  #push(head: number, area: number, link = 0): void {
    for (;;) {
      const next = Atomics.load(this.words, head);
      Atomics.store(this.words, area + link, next);
      if (Atomics.compareExchange(this.words, head, next, area) === next) return;
    }
  }

  /** Leaves a record without memory to all threads. */
  addSpare(area: number, count: number): void {
    this.#push(SPARES + (count % SPARE_LISTS), area, SPARE_LINK);
  }

  /**
   * Takes a record for which `fits` holds; 0 if there is none. Takes the whole list and gives the
   * rest back, since a record that other threads take and give meanwhile must not confuse it.
   */
  takeSpare(count: number, fits: (area: number) => boolean): number {
    const head = SPARES + (count % SPARE_LISTS);
    let taken = 0;
    let next = 0;
    for (let at = Atomics.exchange(this.words, head, 0); at !== 0; at = next) {
      next = this.get(at + SPARE_LINK);
      if (taken === 0 && fits(at)) taken = at;
      else this.#push(head, at, SPARE_LINK);
    }
    return taken;
  }

  addChunk(area: number): void {
    this.#push(CHUNKS, area);
  }

  addPage(area: number): void {
    this.#push(PAGES, area);
  }

  chunks(): Generator<number> {
    return this.#list(CHUNKS);
  }

  /** All page records, also those without memory. */
  pages(): Generator<number> {
    return this.#list(PAGES);
  }

  /** The first word of an area is the index of the next. */
  *#list(head: number): Generator<number> {
    for (let at = this.get(head); at !== 0; at = this.get(at)) yield at;
  }

  /** Drops all pages. Threads that have pages of their own see it by the epoch. */
  renew(): void {
    for (const counter of [LIVE, REQUESTED, HELD]) this.set(counter, 0);
    this.words.fill(0, DIRECTORY, AREAS);
    this.add(EPOCH, 1);
  }
}
