/**
 * Blocks that were freed and must not be used again yet. Each thread keeps some of its own; beyond
 * its budget they all go to the list of all threads, and beyond the budget of that the oldest are
 * recycled, down to nine tenths of it.
 *
 *   thread:  p, q, r        bytes
 *   all:     lock | bytes | count | first -> ... -> last      links are in the headers
 *
 * The list lies in memory that all threads share. Its lock names its holder, and who cannot have it
 * keeps its blocks for the next time.
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
  /** Where the list of all threads is. */
  readonly list: number;
  /** Bytes that one thread, and all together, may keep. */
  readonly threadBytes: number;
  readonly bytes: number;
  /** This thread's number. */
  readonly threadId: number;
  recycle(ptr: number): void;
}

export interface QuarantineStats {
  /** Blocks and bytes that this thread keeps, and that are on the list of all. */
  readonly threadBlocks: number;
  readonly threadBytes: number;
  readonly blocks: number;
  readonly bytes: number;
}

/** Blocks of no bytes count too. */
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

  /** Recycles everything that this thread can reach. */
  drain(): void {
    this.#pass(0);
  }

  /** Gives what this thread keeps to all; who cannot have the lock recycles it too early. */
  leave(): void {
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

  /** Takes from a thread that has died its lock. */
  recover(threadId: number): void {
    const { words, list } = this.#parts;
    Atomics.compareExchange(words(), list / 4 + LOCK, threadId, 0);
  }

  /** Appends the thread's own blocks to the list, and takes from its front what is too much. */
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

  /** All of them, whatever is wrong with one; throws what was found first. */
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

/** The caller holds the lock. */
function append(words: Uint32Array, list: Uint32Array, ptr: number): void {
  linkTo(words, ptr, 0);
  const last = list[LAST] as number;
  if (last === 0) list[FIRST] = ptr;
  else linkTo(words, last, ptr);
  list[LAST] = ptr;
  list[COUNT] = (list[COUNT] as number) + 1;
  list[BYTES] = (list[BYTES] as number) + weight(sizeIn(words, ptr));
}

/** The oldest blocks, off the list, until it has at most `budget` bytes. */
function take(words: Uint32Array, list: Uint32Array, budget: number): number[] {
  const most = list[COUNT] as number; // links that were overwritten may go in a circle
  const taken: number[] = [];
  for (let ptr = list[FIRST] as number; ptr !== 0 && taken.length < most; ) {
    const bytes = list[BYTES] as number;
    if (budget > 0 && bytes <= budget) return taken;
    const next = linkIn(words, ptr);
    // First the end, then the begin: to a list with an end and no begin all that comes is lost.
    if (next === 0) list[LAST] = 0;
    list[FIRST] = next;
    list[COUNT] = most - taken.length - 1;
    list[BYTES] = Math.max(0, bytes - weight(sizeIn(words, ptr)));
    taken.push(ptr);
    ptr = next;
  }
  // All was taken: what a thread that died has left half done is put right.
  list.fill(0, BYTES);
  return taken;
}
