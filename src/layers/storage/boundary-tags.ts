/**
 * Boundary tags. A block of S bytes, a multiple of 16, at p (also a multiple of 16):
 *
 *      p-4     p              p+S-8   p+S-4   p+S
 *       | tag  | user's bytes …        | tag  | next block
 *       | tag  | next | previous | … S | tag  | next block       while it is free
 *
 * A tag is S and two flags; it lies in the last word of the block below. While a block is free, the
 * word before its last tag has S, so that the block above finds where it begins.
 */

/** Bytes of a block that are not the user's. */
export const TAG = 4;
export const IN_USE = 1;
/** The block below is in use: it cannot be joined, and the word before this tag is its user's. */
export const PREVIOUS_IN_USE = 2;
const FLAGS = 15;

export function tagAt(words: Uint32Array, ptr: number): number {
  return words[(ptr - 4) >>> 2] as number;
}

export function tagSet(words: Uint32Array, ptr: number, tag: number): void {
  words[(ptr - 4) >>> 2] = tag;
}

export function sizeAt(words: Uint32Array, ptr: number): number {
  return (tagAt(words, ptr) & ~FLAGS) >>> 0;
}

/** The free block that ends at ptr, or 0. */
export function neighbourBelow(words: Uint32Array, ptr: number): number {
  if ((tagAt(words, ptr) & PREVIOUS_IN_USE) !== 0) return 0;
  return ptr - (words[(ptr - 8) >>> 2] as number);
}

/** Writes both tags of a free block. The block below is in use: free neighbours are joined. */
export function freeTag(words: Uint32Array, ptr: number, size: number): void {
  tagSet(words, ptr, (size | PREVIOUS_IN_USE) >>> 0);
  words[(ptr + size - 8) >>> 2] = size;
  tagSet(words, ptr + size, (tagAt(words, ptr + size) & ~PREVIOUS_IN_USE) >>> 0);
}
