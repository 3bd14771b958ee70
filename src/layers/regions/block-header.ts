/**
 * The 16 bytes in front of each block of a region. They tell size and owner in one look, whatever
 * the layers below know, and link the blocks of regions that must find them again.
 *
 *   ptr-16   ptr-12     ptr-8   ptr-4   ptr
 *    | next  | previous | size  | owner | user's bytes …
 *
 *    | total | raw |                     16 bytes more, from ptr-32, where ALIGNED is set in size
 *
 * `owner` is the region's number, mixed with the address: words that come from elsewhere
 * practically never decode to a region that lives. Number 0 means freed.
 */
import { blockForeign, blockFreed, regionGone } from "../pool/errors.ts";

/** Bytes in front of a block. */
export const HEADER = 16;
/** In the size: the block below begins at another place than HEADER bytes down. */
const ALIGNED = 0x80000000;
const MIX = 0x7e44a9e5;
const FREED = 0;

/** Marks a block as owned by the region with that number. */
export function ownerSet(words: Uint32Array, ptr: number, owner: number): void {
  words[(ptr - 4) >>> 2] = owner ^ ptr ^ MIX;
}

function ownerAt(words: Uint32Array, ptr: number): number {
  return ((words[(ptr - 4) >>> 2] as number) ^ ptr ^ MIX) >>> 0;
}

export function freedSet(words: Uint32Array, ptr: number): void {
  ownerSet(words, ptr, FREED);
}

export function sizeSet(words: Uint32Array, ptr: number, size: number): void {
  words[(ptr - 8) >>> 2] = size;
}

/** Bytes that were asked for. */
export function sizeAt(words: Uint32Array, ptr: number): number {
  return (words[(ptr - 8) >>> 2] as number) & ~ALIGNED;
}

/** A block whose address is a multiple of `alignment`, in a raw one; answers its address. */
export function alignedSet(words: Uint32Array, raw: number, alignment: number, size: number) {
  const ptr = Math.ceil((raw + 2 * HEADER) / alignment) * alignment;
  sizeSet(words, ptr, (size | ALIGNED) >>> 0);
  words[(ptr - 32) >>> 2] = alignedTotal(alignment, size);
  words[(ptr - 28) >>> 2] = raw;
  return ptr;
}

/** Bytes of the raw block for an aligned one. */
export function alignedTotal(alignment: number, size: number): number {
  return size + alignment + HEADER;
}

function isAligned(words: Uint32Array, ptr: number): boolean {
  return ((words[(ptr - 8) >>> 2] as number) & ALIGNED) !== 0;
}

export function rawAt(words: Uint32Array, ptr: number): number {
  return isAligned(words, ptr) ? (words[(ptr - 28) >>> 2] as number) : ptr - HEADER;
}

export function totalAt(words: Uint32Array, ptr: number): number {
  return isAligned(words, ptr) ? (words[(ptr - 32) >>> 2] as number) : sizeAt(words, ptr) + HEADER;
}

/** The blocks of a region that must find them again: a list through the headers. */
export class Chain {
  first = 0;

  link(words: Uint32Array, ptr: number): void {
    const at = (ptr - HEADER) >>> 2;
    words[at] = this.first;
    words[at + 1] = 0;
    if (this.first !== 0) words[(this.first - 12) >>> 2] = ptr;
    this.first = ptr;
  }

  unlink(words: Uint32Array, ptr: number): void {
    const next = words[(ptr - HEADER) >>> 2] as number;
    const previous = words[(ptr - 12) >>> 2] as number;
    if (previous === 0) this.first = next;
    else words[(previous - HEADER) >>> 2] = next;
    if (next !== 0) words[(next - 12) >>> 2] = previous;
  }

  /** Addresses of the blocks, oldest first. */
  list(words: Uint32Array): number[] {
    const ptrs: number[] = [];
    for (let ptr = this.first; ptr !== 0; ptr = words[(ptr - HEADER) >>> 2] as number) {
      ptrs.push(ptr);
    }
    return ptrs.reverse();
  }
}

/** Regions by number. A number is never used twice. */
export class Owners<R> {
  readonly #living = new Map<number, R>();
  #next = 1;

  add(region: R): number {
    this.#living.set(this.#next, region);
    return this.#next++;
  }

  remove(owner: number): void {
    this.#living.delete(owner);
  }

  /**
   * Whose block begins at ptr.
   *
   * @throws LayerError when it is nobody's.
   */
  of(call: string, words: Uint32Array, ptr: number): R {
    const owner = ownerAt(words, ptr);
    const region = this.#living.get(owner);
    if (region === undefined || ptr % HEADER !== 0) throw this.#mistake(call, ptr, owner);
    return region;
  }

  #mistake(call: string, ptr: number, owner: number): Error {
    if (ptr % HEADER !== 0 || owner >= this.#next) return blockForeign(call, ptr);
    return owner === FREED ? blockFreed(call, ptr) : regionGone(call, ptr);
  }
}
