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
import type { Headers } from "./chunk.ts";

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
  readonly headers: Headers;
  /** Bytes that one thread, and all together, may keep. */
  readonly threadBytes: number;
  readonly bytes: number;
  /** This thread's number. */
  readonly ticket: number;
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

  /** Gives what this thread keeps to all. */
  leave(): void {
    this.#pass(this.#parts.bytes);
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
  recover(ticket: number): void {
    const { words, list } = this.#parts;
    Atomics.compareExchange(words(), list / 4 + LOCK, ticket, 0);
  }

  /** Appends the thread's own blocks to the list, and takes from its front what is too much. */
  #pass(budget: number): void {
    if (!this.#lock()) return;
    for (const ptr of this.#own) this.#append(ptr);
    this.#own = [];
    this.#ownBytes = 0;
    const tooMuch = this.#word(BYTES) > budget || budget === 0;
    const old = tooMuch ? this.#take(Math.floor((budget / 10) * 9)) : [];
    Atomics.store(this.#parts.words(), this.#parts.list / 4 + LOCK, 0);
    this.#recycleAll(old);
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

  #append(ptr: number): void {
    const { headers } = this.#parts;
    headers.link(ptr, 0);
    const last = this.#word(LAST);
    if (last === 0) this.#set(FIRST, ptr);
    else headers.link(last, ptr);
    this.#set(LAST, ptr);
    this.#set(COUNT, this.#word(COUNT) + 1);
    this.#set(BYTES, this.#word(BYTES) + weight(headers.sizeOf(ptr)));
  }

  /** The oldest blocks, off the list, until it has at most `budget` bytes. */
  #take(budget: number): number[] {
    const { headers } = this.#parts;
    const most = this.#word(COUNT); // links that were overwritten may go in a circle
    const taken: number[] = [];
    for (let ptr = this.#word(FIRST); ptr !== 0 && taken.length < most; ) {
      if (budget > 0 && this.#word(BYTES) <= budget) return taken;
      const next = headers.linkOf(ptr);
      this.#set(FIRST, next);
      this.#set(COUNT, most - taken.length - 1);
      this.#set(BYTES, Math.max(0, this.#word(BYTES) - weight(headers.sizeOf(ptr))));
      taken.push(ptr);
      ptr = next;
    }
    this.#clear();
    return taken;
  }

  /** All was taken: what a thread that died has left half done is put right. */
  #clear(): void {
    for (const word of [BYTES, COUNT, FIRST, LAST]) this.#set(word, 0);
  }

  #lock(): boolean {
    const { list, ticket } = this.#parts;
    const words = this.#parts.words();
    for (let look = 0; look < LOOKS; look++) {
      if (Atomics.compareExchange(words, list / 4 + LOCK, 0, ticket) === 0) return true;
    }
    return false;
  }

  #word(index: number): number {
    return this.#parts.words()[this.#parts.list / 4 + index] as number;
  }

  #set(index: number, value: number): void {
    this.#parts.words()[this.#parts.list / 4 + index] = value;
  }
}
