/** Arenas of blocks with boundary tags, for the layer coalescing. */

import { type Pool, roundToGranules } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { BinnedBlocks } from "./bins.ts";
import {
  freeTag,
  IN_USE,
  neighbourBelow,
  PREVIOUS_IN_USE,
  sizeAt,
  TAG,
  tagAt,
  tagSet,
} from "./boundary-tags.ts";

/** Bytes before the first block of an arena; the last word is its tag. */
const PAD = 16;

export class Arenas {
  readonly counter = new Counter();
  /** Bytes of each arena, by its address. */
  readonly #arenas = new Map<number, number>();
  readonly #bins = new BinnedBlocks();
  readonly #source: Pool;
  readonly #least: number;

  constructor(source: Pool, least: number) {
    this.#source = source;
    this.#least = least;
  }

  get(size: number): number {
    const need = roundToGranules(size + TAG);
    const ptr = this.#bins.find(this.#words, need) || this.#arenaNew(need);
    if (ptr === 0) return 0;
    const words = this.#words;
    this.#bins.remove(words, ptr);
    this.#cut(words, ptr, need);
    this.counter.got(sizeAt(words, ptr) - TAG);
    return ptr;
  }

  put(ptr: number): void {
    const words = this.#words;
    this.counter.put(sizeAt(words, ptr) - TAG);
    const first = this.#joinBelow(words, ptr, this.#joinAbove(words, ptr));
    if (!this.#arenaGive(words, first)) this.#bins.add(words, first);
  }

  clear(): void {
    for (const [base, bytes] of this.#arenas) this.#source.put(base, bytes);
    this.#arenas.clear();
    this.#bins.clear();
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    for (const [base, bytes] of this.#arenas) if (ptr > base && ptr < base + bytes) return true;
    return false;
  }

  get #words(): Uint32Array {
    return this.#source.memory.u32();
  }

  /** Takes a free block into use; what follows its first `need` bytes becomes a free block. */
  #cut(words: Uint32Array, ptr: number, need: number): void {
    const whole = sizeAt(words, ptr);
    const size = whole - need < 16 ? whole : need;
    tagSet(words, ptr, size | IN_USE | (tagAt(words, ptr) & PREVIOUS_IN_USE));
    const next = ptr + size;
    if (size === whole) {
      tagSet(words, next, tagAt(words, next) | PREVIOUS_IN_USE);
      return;
    }
    freeTag(words, next, whole - size);
    this.#bins.add(words, next);
  }

  /** Bytes of the block at ptr and of a free one above it, which leaves its bin. */
  #joinAbove(words: Uint32Array, ptr: number): number {
    const size = sizeAt(words, ptr);
    const next = ptr + size;
    if ((tagAt(words, next) & IN_USE) !== 0) return size;
    this.#bins.remove(words, next);
    return size + sizeAt(words, next);
  }

  /** Joins with a free block below and marks the whole as free; returns where it begins. */
  #joinBelow(words: Uint32Array, ptr: number, size: number): number {
    const below = neighbourBelow(words, ptr);
    if (below !== 0) this.#bins.remove(words, below);
    const first = below || ptr;
    freeTag(words, first, size + (ptr - first));
    return first;
  }

  /** A free block of at least `need` bytes in an arena of its own. */
  #arenaNew(need: number): number {
    const bytes = Math.max(this.#least, need + PAD);
    const base = this.#source.get(bytes);
    if (base === 0) return 0;
    this.#arenas.set(base, bytes);
    this.counter.take(bytes);
    const words = this.#words;
    tagSet(words, base + bytes, IN_USE); // the end: a block of 0 bytes that is never free
    freeTag(words, base + PAD, bytes - PAD);
    this.#bins.add(words, base + PAD);
    return base + PAD;
  }

  /** Gives the arena back if the free block is all of it and it is not the last; whether it was. */
  #arenaGive(words: Uint32Array, ptr: number): boolean {
    const end = ptr + sizeAt(words, ptr);
    if (sizeAt(words, end) !== 0 || this.#arenas.size === 1) return false;
    const base = ptr - PAD;
    const bytes = end - base;
    if (this.#arenas.get(base) !== bytes) return false;
    this.#arenas.delete(base);
    this.#source.put(base, bytes);
    this.counter.give(bytes);
    return true;
  }
}
