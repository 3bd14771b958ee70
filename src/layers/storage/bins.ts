/**
 * Free blocks with boundary tags, in one doubly linked list for each power of two. Callers pass the
 * words of the memory: getting them in every function took a third of the time.
 */
import { sizeAt } from "./boundary-tags.ts";

/** How many blocks of the bin of a size are examined before a larger bin is used. */
const EXAMINED = 8;

export class BinnedBlocks {
  /** First block of the sizes 2^n to 2^(n+1) - 1. */
  readonly #first = new Array<number>(32).fill(0);
  /** Bit n: bin n has a block. */
  #filled = 0;

  /** A block of at least `need` bytes, which stays in its bin; or 0. */
  find(words: Uint32Array, need: number): number {
    const bin = binOf(need);
    let ptr = this.#first[bin] as number;
    for (let i = 0; ptr !== 0 && i < EXAMINED; i++) {
      if (sizeAt(words, ptr) >= need) return ptr;
      ptr = words[ptr >>> 2] as number;
    }
    return this.#firstAbove(bin);
  }

  add(words: Uint32Array, ptr: number): void {
    const bin = binOf(sizeAt(words, ptr));
    const first = this.#first[bin] as number;
    words[ptr >>> 2] = first;
    words[(ptr >>> 2) + 1] = 0;
    if (first !== 0) words[(first >>> 2) + 1] = ptr;
    this.#first[bin] = ptr;
    this.#filled |= 1 << bin;
  }

  /** The size in the tag must be the one that the block was added with. */
  remove(words: Uint32Array, ptr: number): void {
    const next = words[ptr >>> 2] as number;
    const previous = words[(ptr >>> 2) + 1] as number;
    if (next !== 0) words[(next >>> 2) + 1] = previous;
    if (previous !== 0) words[previous >>> 2] = next;
    else this.#firstSet(binOf(sizeAt(words, ptr)), next);
  }

  clear(): void {
    this.#first.fill(0);
    this.#filled = 0;
  }

  #firstSet(bin: number, ptr: number): void {
    this.#first[bin] = ptr;
    if (ptr === 0) this.#filled &= ~(1 << bin);
  }

  /** The first block of the next larger bin that has blocks, which is large enough; or 0. */
  #firstAbove(bin: number): number {
    const larger = this.#filled & ~((2 << bin) - 1);
    return larger === 0 ? 0 : (this.#first[31 - Math.clz32(larger & -larger)] as number);
  }
}

function binOf(size: number): number {
  return 31 - Math.clz32(size);
}
