/**
 * Whether what a heap keeps about its memory can be walked: a program that writes over it must get
 * an error, not a walk without an end. Each check is bounded by what there can be, and costs no
 * more than the walk that it stands before.
 */

import { heapDamaged } from "../../common/errors.ts";
import * as L from "../../core/layout/layout.ts";
import { areas } from "./counts.ts";

type Words = Uint32Array;

/** The error that a program gets for one of the core: a trap of WebAssembly means damage. */
export function trapError(error: unknown): unknown {
  const trapped = typeof WebAssembly === "object" && error instanceof WebAssembly.RuntimeError;
  return trapped ? heapDamaged(0, error) : error;
}

/** Runs a function that calls the core. */
export function runTold<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw trapError(error);
  }
}

/** Reads 0 behind the end of the memory. */
function word(words: Words, address: number): number {
  return (words[address >>> 2] as number) >>> 0;
}

/**
 * One past the highest slice of a state.
 *
 * @throws HeapError ERR_HEAP_DAMAGED when no memory has so many.
 */
export function topOf(words: Words, state: number): number {
  const top = word(words, state + L.S_TOP);
  if (top > L.SLICES_MAX) throw heapDamaged(state + L.S_TOP);
  return top;
}

/**
 * The descriptor of a slice.
 *
 * @throws HeapError ERR_HEAP_DAMAGED when no table can be where the state has it.
 */
export function descAt(words: Words, state: number, slice: number): number {
  const at = state + L.S_CHUNKS + ((slice >>> L.CHUNK_SHIFT) << 2);
  const table = word(words, at);
  if (table === 0 || table % L.CHUNK_TABLE_SIZE !== 0) throw heapDamaged(at);
  return table + ((slice & (L.CHUNK_SLICES - 1)) << L.DESC_SHIFT);
}

/** @throws HeapError ERR_HEAP_DAMAGED unless a page's descriptor fits the slice that it is of. */
export function pageCheck(words: Words, state: number, page: number, slice: number): void {
  if (!pageIsGood(words, page, slice, topOf(words, state))) throw heapDamaged(page);
}

function pageIsGood(words: Words, page: number, slice: number, top: number): boolean {
  const at = (field: number) => word(words, page + field);
  const [start, slices, flags] = [at(L.D_START), at(L.D_SLICES), at(L.D_OWNER) & L.FLAGS];
  if (start >>> L.SLICE_SHIFT !== slice) return false;
  if ((flags & L.FLAG_LARGE) !== 0) return true; // another thread may resize or free it meanwhile
  if (slices === 0 || slice + slices > top) return false;
  if ((flags & L.FLAG_MEDIUM) !== 0) return mediumIsGood(words, page);
  return smallIsGood(words, page, start, (slice + slices) * L.SLICE_SIZE);
}

function mediumIsGood(words: Words, page: number): boolean {
  const used = word(words, page + L.D_USED);
  return used <= L.MEDIUM_UNITS && word(words, page + L.D_SLICES) === L.MEDIUM_SLICES;
}

function smallIsGood(words: Words, page: number, start: number, limit: number): boolean {
  const at = (field: number) => word(words, page + field);
  const [block, fresh, end] = [at(L.D_BLOCK), at(L.D_FRESH), at(L.D_FRESH_END)];
  if (block < L.WORD || block > L.SMALL_MAX || block % L.WORD !== 0) return false;
  if (fresh < start || fresh > end || end > limit) return false;
  if ((fresh - start) % block !== 0 || (end - start) % block !== 0) return false;
  return at(L.D_USED) <= (end - start) / block;
}

/**
 * Checks everything that the core walks when it collects, purges or ends the heaps of a thread: the
 * areas of the heaps, their queues with the pages in these, and the spans of free slices.
 *
 * @param thread Whose heaps they are; 0 = the state is not shared.
 * @throws HeapError ERR_HEAP_DAMAGED.
 */
export function heapsCheck(words: Words, state: number, thread: number): void {
  const shared = thread !== 0;
  const top = topOf(words, state);
  // Another thread may have grown a shared memory behind these words.
  if (!shared && top * L.SLICE_SIZE > words.length * 4) throw heapDamaged(state + L.S_TOP);
  for (let slice = state >>> L.SLICE_SHIFT; slice < top; slice += L.CHUNK_SLICES) {
    tableCheck(words, state, slice);
  }
  for (const heap of areas(words, state, shared)) {
    if (isLive(words, heap, thread)) queuesCheck(words, state, heap);
  }
  if (!shared) spansCheck(words, state);
}

/** A chunk in which the heap has nothing has no table. */
function tableCheck(words: Words, state: number, slice: number): void {
  const table = word(words, state + L.S_CHUNKS + ((slice >>> L.CHUNK_SHIFT) << 2));
  if (table !== 0) descAt(words, state, slice);
}

function isLive(words: Words, heap: number, thread: number): boolean {
  if (thread === 0) return word(words, heap + L.H_ID) !== 0;
  return word(words, heap + L.H_STATE) === ((thread << 2) | L.AREA_LIVE) >>> 0;
}

function queuesCheck(words: Words, state: number, heap: number): void {
  if (word(words, heap + L.H_ID) !== heap) throw heapDamaged(heap + L.H_ID);
  if (word(words, heap + L.H_RETIRE_MAX) >= L.BIN_COUNT) throw heapDamaged(heap + L.H_RETIRE_MAX);
  for (let bin = 1; bin < L.BIN_COUNT; bin++) {
    queueCheck(words, state, { heap, bin, queue: heap + L.H_QUEUES + (bin << L.QUEUE_SHIFT) });
  }
}

interface CheckedQueue {
  readonly heap: number;
  readonly bin: number;
  readonly queue: number;
}

/** A page is in one queue, and links lead both ways, so the walk cannot come back to a page. */
function queueCheck(words: Words, state: number, { heap, bin, queue }: CheckedQueue): void {
  let before = 0;
  let left = topOf(words, state);
  for (let page = word(words, queue + L.Q_FIRST); page !== 0; left--) {
    const owner = word(words, page + L.D_OWNER);
    const full = (owner & L.FLAG_FULL) !== 0;
    const good = (owner & ~L.FLAGS) >>> 0 === heap && word(words, page + L.D_PREV) === before;
    const placed = full ? bin === L.BIN_FULL : bin === word(words, page + L.D_BIN);
    if (left === 0 || !good || !placed) throw heapDamaged(page);
    const slice = word(words, page + L.D_START) >>> L.SLICE_SHIFT;
    if (descAt(words, state, slice) !== page) throw heapDamaged(page);
    pageCheck(words, state, page, slice);
    before = page;
    page = word(words, page + L.D_NEXT);
  }
  if (word(words, queue + L.Q_LAST) !== before) throw heapDamaged(queue);
}

/** @throws HeapError ERR_HEAP_DAMAGED unless the spans of a state that is not shared are right. */
export function spansCheck(words: Words, state: number): void {
  let left = topOf(words, state);
  for (let bin = 1; bin < L.SPAN_BINS; bin++) {
    const head = state + L.S_SPANS + 4 * bin;
    let before = 0;
    for (let span = word(words, head); span !== 0; left--) {
      if (left === 0 || !spanIsGood(words, state, span, before)) throw heapDamaged(span);
      before = span;
      span = word(words, span + L.D_NEXT);
    }
  }
}

function spanIsGood(words: Words, state: number, span: number, before: number): boolean {
  const slice = word(words, span + L.D_START) >>> L.SLICE_SHIFT;
  const count = word(words, span + L.D_SLICES);
  if (count === 0 || slice + count > topOf(words, state)) return false;
  if (descAt(words, state, slice) !== span) return false;
  return before === 0 || word(words, span + L.D_PREV) === before;
}
