/**
 * What threads that share a heap know together of its blocks: in a SharedArrayBuffer of its own, so
 * that no stray write of a program reaches it.
 *
 *   header     16 words: counters, heads of lists
 *   directory  65536 words: for each 64 KiB of the heap's memory the page that lies there, or 0
 *   areas      taken from the front of what is left, never given back: page records with a row for
 *              each slot, and chunks of text
 *
 * Every page belongs to the thread that made it: only that thread hands out its slots. Any thread
 * frees them, by one compare-and-swap on the slot's word. No thread waits for another that may have
 * ended: what one left half done is at worst never used again. Numbers are words of 32 bits.
 */

/** Bytes of all of it; the system gives memory for what is touched. Room for two million slots. */
const STATE_BYTES = 2 ** 26;

const NODES = 1;
const TAKEN = 2;
const ORDER = 6;
const CHUNKS = 8;
const THREADS = 9;
const PAGES = 10;
const HEAPS = 11;
const EPOCH = 12;
export const LIVE = 3;
export const REQUESTED = 4;
export const HELD = 5;
/** requestedMemoryLimit in bytes, as far as a word goes. */
export const LIMIT = 7;
const DIRECTORY = 16;
const CELLS = 65536;
const AREAS = DIRECTORY + CELLS;
/** Bytes of a cell, as a shift: what pages of shared heaps are aligned to. */
export const CELL_SHIFT = 16;

export class SharedState {
  readonly words: Int32Array;

  /** A new state, or that of other threads. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(STATE_BYTES)) {
    this.words = new Int32Array(buffer);
    if (Atomics.compareExchange(this.words, TAKEN, 0, AREAS) === 0) {
      Atomics.store(this.words, LIMIT, -1);
    }
  }

  get buffer(): SharedArrayBuffer {
    return this.words.buffer as SharedArrayBuffer;
  }

  /** First word of `count` zero words that nobody else has; 0 when there are none. */
  take(count: number): number {
    const at = Atomics.add(this.words, TAKEN, count) >>> 0;
    return at + count <= this.words.length ? at : 0;
  }

  /** Bytes that were ever written to. */
  get touched(): number {
    return Math.min(this.get(TAKEN), this.words.length) * 4;
  }

  /** A number of one of the counters. */
  get(counter: number): number {
    return Atomics.load(this.words, counter) >>> 0;
  }

  set(counter: number, value: number): void {
    Atomics.store(this.words, counter, value);
  }

  /** Answers the new value. */
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

  /** A number for a thread that joins; the first is 1. */
  thread(): number {
    return this.add(THREADS, 1);
  }

  /** An id for a heap beside the first, whose id is 1. */
  heap(): number {
    return this.add(HEAPS, 1) + 1;
  }

  /** Changes when everything was given back. */
  get epoch(): number {
    return this.get(EPOCH);
  }

  /** The page at an address, or 0. */
  pageAt(address: number): number {
    return this.get(DIRECTORY + (address >>> CELL_SHIFT));
  }

  /** Says which page, or 0 = none, has the cells of a run. */
  pageSet(base: number, bytes: number, page: number): void {
    const end = base + bytes;
    for (let at = base; at < end; at += 2 ** CELL_SHIFT) {
      Atomics.store(this.words, DIRECTORY + (at >>> CELL_SHIFT), page);
    }
  }

  /** Puts an area at the head of a list; `link` is the area's word for the next one. */
  #push(head: number, area: number, link: number): void {
    for (;;) {
      const next = Atomics.load(this.words, head);
      Atomics.store(this.words, area + link, next);
      if (Atomics.compareExchange(this.words, head, next, area) === next) return;
    }
  }

  chunkPush(area: number): void {
    this.#push(CHUNKS, area, 0);
  }

  pagePush(area: number): void {
    this.#push(PAGES, area, 0);
  }

  chunks(): Generator<number> {
    return this.#list(CHUNKS);
  }

  /** All page records that there ever were. */
  pages(): Generator<number> {
    return this.#list(PAGES);
  }

  /** The first word of an area leads to the next. */
  *#list(head: number): Generator<number> {
    for (let at = this.get(head); at !== 0; at = this.get(at)) yield at;
  }

  /** No page is held any more: threads that still have some of their own forget them. */
  renew(): void {
    for (const counter of [LIVE, REQUESTED, HELD]) this.set(counter, 0);
    this.words.fill(0, DIRECTORY, AREAS);
    this.add(EPOCH, 1);
  }
}
