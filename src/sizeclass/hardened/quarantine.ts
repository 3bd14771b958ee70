/**
 * Freed blocks that must not be reused yet. Each thread collects its own; beyond the thread's
 * budget they all move to the list of all threads, and beyond the budget of the list its oldest
 * blocks are recycled, down to nine tenths of it.
 *
 *   thread:  p, q, r        bytes
 *   all:     lock | bytes | count | first -> ... -> last      links are in the headers
 *
 * The list is in memory that all threads share. Its lock names the thread that holds it; a thread
 * that does not get it keeps its blocks until the next time.
 */
import { linkIn, linkTo, sizeIn } from "./chunk.ts";

const LOCK = 0;
const BYTES = 1;
const COUNT = 2;
const FIRST = 3;
const LAST = 4;
/** Bytes of the list's words. */
export const LIST_BYTES = 32;
const LOOKS = 10_000;

export interface QuarantineParts {
  readonly words: () => Uint32Array;
  /** Address of the list of all threads. */
  readonly list: number;
  /** Budget of this thread. */
  readonly threadBytes: number;
  /** Budget of the list of all threads. */
  readonly bytes: number;
  readonly threadId: number;
  recycle(ptr: number): void;
}

/** Statistics of the quarantine. Bytes are those of the requests; a block of size 0 counts as 1. */
export interface QuarantineStats {
  /** Blocks that this thread has not passed on yet. */
  readonly threadBlocks: number;
  /** Bytes of those. */
  readonly threadBytes: number;
  /** Blocks on the list of all threads. */
  readonly blocks: number;
  /** Bytes of those. */
  readonly bytes: number;
}

/** Blocks of size 0 count too. */
function weight(size: number): number {
  return Math.max(1, size);
}

export class Quarantine {
  readonly #parts: QuarantineParts;
  #own: number[] = [];
  #ownBytes = 0;

  constructor(parts: QuarantineParts) {
    this.#parts = parts;
  }

  put(ptr: number, size: number): void {
    this.#own.push(ptr);
    this.#ownBytes += weight(size);
    if (this.#ownBytes > this.#parts.threadBytes) this.#pass(this.#parts.bytes);
  }

  /** Recycles the blocks of this thread and of the list, unless another thread has the lock. */
  drain(): void {
    this.#pass(0);
  }

  /** Passes on all blocks of this thread; recycles them early if another thread has the lock. */
  detach(): void {
    this.#pass(this.#parts.bytes);
    this.#ownBytes = 0;
    this.#recycleAll(this.#own.splice(0));
  }

  stats(): QuarantineStats {
    return {
      threadBlocks: this.#own.length,
      threadBytes: this.#ownBytes,
      blocks: this.#word(COUNT),
      bytes: this.#word(BYTES),
    };
  }

  /** Releases the lock if a thread that died holds it. */
  recover(threadId: number): void {
    const { words, list } = this.#parts;
    Atomics.compareExchange(words(), list / 4 + LOCK, threadId, 0);
  }

  /**
   * Appends this thread's blocks to the list, and recycles what exceeds `budget` from its front.
   */
  #pass(budget: number): void {
    const words = this.#parts.words();
    if (!this.#lock(words)) return;
    const list = words.subarray(this.#at, this.#at + LIST_BYTES / 4);
    for (const ptr of this.#own) append(words, list, ptr);
    this.#own.length = 0;
    this.#ownBytes = 0;
    const tooMuch = (list[BYTES] as number) > budget || budget === 0;
    const old = tooMuch ? take(words, list, Math.floor((budget / 10) * 9)) : [];
    Atomics.store(words, this.#at + LOCK, 0);
    if (old.length > 0) this.#recycleAll(old);
  }

  /** Recycles all, also if one of them is damaged; then throws the first error. */
  #recycleAll(old: readonly number[]): void {
    const errors: unknown[] = [];
    for (const ptr of old) {
      try {
        this.#parts.recycle(ptr);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  #lock(words: Uint32Array): boolean {
    const { threadId } = this.#parts;
    for (let look = 0; look < LOOKS; look++) {
      if (Atomics.compareExchange(words, this.#at + LOCK, 0, threadId) === 0) return true;
    }
    return false;
  }

  get #at(): number {
    return this.#parts.list / 4;
  }

  #word(index: number): number {
    return this.#parts.words()[this.#at + index] as number;
  }
}

/** The caller holds the lock, as for `take`. */
function append(words: Uint32Array, list: Uint32Array, ptr: number): void {
  linkTo(words, ptr, 0);
  const last = list[LAST] as number;
  if (last === 0) list[FIRST] = ptr;
  else linkTo(words, last, ptr);
  list[LAST] = ptr;
  list[COUNT] = (list[COUNT] as number) + 1;
  list[BYTES] = (list[BYTES] as number) + weight(sizeIn(words, ptr));
}

/** Removes the oldest blocks until the list has at most `budget` bytes. */
function take(words: Uint32Array, list: Uint32Array, budget: number): number[] {
  const most = list[COUNT] as number; // overwritten links may form a cycle
  const taken: number[] = [];
  for (let ptr = list[FIRST] as number; ptr !== 0 && taken.length < most; ) {
    const bytes = list[BYTES] as number;
    if (budget > 0 && bytes <= budget) return taken;
    const next = linkIn(words, ptr);
    // The end first: blocks that are appended to a list with an end and no begin are lost.
    if (next === 0) list[LAST] = 0;
    list[FIRST] = next;
    list[COUNT] = most - taken.length - 1;
    list[BYTES] = Math.max(0, bytes - weight(sizeIn(words, ptr)));
    taken.push(ptr);
    ptr = next;
  }
  // The list is empty: this also repairs what a thread that died left half done.
  list.fill(0, BYTES);
  return taken;
}
