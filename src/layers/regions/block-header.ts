/**
 * The 16 bytes before each block of a region. They tell its size and its region without a search,
 * whatever the layers below keep, and link the blocks of regions that list them.
 *
 *   ptr-16   ptr-12     ptr-8   ptr-4   ptr
 *    | next  | previous | size  | owner | user's bytes …
 *
 *    | total | raw |                     16 bytes more, from ptr-32, where ALIGNED is set in size
 *
 * `owner` is the region's number, mixed with the address: a word that was not written as an owner
 * almost never decodes to the number of a region that lives. Number 0 means freed.
 */
import { freedBefore, notARegionBlock, regionOfBlockEnded } from "../pool/errors.ts";

/** Bytes before a block. */
export const HEADER = 16;
/** A flag in the size: the block of the source does not begin HEADER bytes before this one. */
const ALIGNED = 0x80000000;
const MIX = 0x7e44a9e5;
const FREED = 0;
/** The largest number of a region: one less than a power of two. */
const LARGEST = 0x3fffffff;

/** Writes the header of a block of `size` bytes that belongs to the region with number `owner`. */
export function headerSet(words: Uint32Array, ptr: number, size: number, owner: number): void {
  words[(ptr - 8) >>> 2] = size;
  words[(ptr - 4) >>> 2] = owner ^ ptr ^ MIX;
}

/** Marks a block as freed. */
export function freedSet(words: Uint32Array, ptr: number): void {
  words[(ptr - 4) >>> 2] = FREED ^ ptr ^ MIX;
}

/** Signed: the engine keeps such a number without memory for it, and finds it faster in a map. */
function ownerAt(words: Uint32Array, ptr: number): number {
  return (words[(ptr - 4) >>> 2] as number) ^ ptr ^ MIX;
}

/** Bytes that were asked for. */
export function sizeAt(words: Uint32Array, ptr: number): number {
  return (words[(ptr - 8) >>> 2] as number) & ~ALIGNED;
}

/**
 * Writes the header of a block at a multiple of `alignment` within the block `raw` of the source;
 * returns its address.
 */
export function alignedHeaderSet(
  words: Uint32Array,
  raw: number,
  alignment: number,
  size: number,
  owner: number,
): number {
  const ptr = Math.ceil((raw + 2 * HEADER) / alignment) * alignment;
  headerSet(words, ptr, (size | ALIGNED) >>> 0, owner);
  words[(ptr - 32) >>> 2] = alignedTotal(alignment, size);
  words[(ptr - 28) >>> 2] = raw;
  return ptr;
}

/** Bytes of the source's block for an aligned one. */
export function alignedTotal(alignment: number, size: number): number {
  return size + alignment + HEADER;
}

function isAligned(words: Uint32Array, ptr: number): boolean {
  return ((words[(ptr - 8) >>> 2] as number) & ALIGNED) !== 0;
}

/** Address of the source's block. */
export function rawAt(words: Uint32Array, ptr: number): number {
  return isAligned(words, ptr) ? (words[(ptr - 28) >>> 2] as number) : ptr - HEADER;
}

/** Bytes of the source's block. */
export function totalAt(words: Uint32Array, ptr: number): number {
  return isAligned(words, ptr) ? (words[(ptr - 32) >>> 2] as number) : sizeAt(words, ptr) + HEADER;
}

/**
 * Regions by number. Threads that share a heap each have regions of their own, so the numbers of a
 * thread begin at random: those of another thread are not among them.
 */
export class Owners<R> {
  readonly #living = new Map<number, R>();
  readonly #first: number;
  #made = 0;

  /** @param first The first number. */
  constructor(first: number = randomWord()) {
    this.#first = first & LARGEST;
  }

  add(region: R): number {
    let owner: number;
    do {
      owner = (this.#first + this.#made++) & LARGEST;
    } while (owner === FREED || this.#living.has(owner));
    this.#living.set(owner, region);
    return owner;
  }

  remove(owner: number): void {
    this.#living.delete(owner);
  }

  /**
   * The region of the block at ptr.
   *
   * @throws LayerError when ptr is not a block of a region that lives.
   */
  of(call: string, words: Uint32Array, ptr: number): R {
    const owner = ownerAt(words, ptr);
    const region = this.#living.get(owner);
    if (region === undefined || ptr % HEADER !== 0) {
      throw this.#mistake(call, words, ptr, owner);
    }
    return region;
  }

  #mistake(call: string, words: Uint32Array, ptr: number, owner: number): Error {
    const isShared =
      typeof SharedArrayBuffer === "function" && words.buffer instanceof SharedArrayBuffer;
    if (ptr % HEADER !== 0) return notARegionBlock(call, ptr, isShared);
    if (owner === FREED) return freedBefore(call, ptr);
    const isNumber = (owner & LARGEST) === owner;
    const isOurs = isNumber && ((owner - this.#first) & LARGEST) < this.#made;
    return isOurs ? regionOfBlockEnded(call, ptr) : notARegionBlock(call, ptr, isShared);
  }
}

function randomWord(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
