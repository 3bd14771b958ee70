/**
 * From an address to its page descriptor, and the two bitmaps over slices.
 *
 * One load gets the table of the chunk, arithmetic gives the descriptor in it. A flat page map
 * would take 256 KiB. The load seldom misses the cache, since a table entry serves 32 MiB.
 */
import { atomicAnd, atomicOr } from "../target/atomics.ts";
import { bitsCount, leadingZeros, load32, trailingZeros } from "../target/glue.ts";
import { stateBase } from "./globals.ts";
import * as L from "./layout.ts";

/** Descriptor of the slice that contains p; undefined when no table covers it: see chunkTable. */
export function descAt(p: usize): usize {
  return load32(stateBase + ((p >>> 23) & 0x1fc), L.S_CHUNKS) + ((p >>> 10) & 0x7fc0);
}

/** Table of the chunk of a slice, or 0. */
export function chunkTable(slice: u32): usize {
  return load32(stateBase + ((slice >>> L.CHUNK_SHIFT) << 2), L.S_CHUNKS);
}

/** Descriptor of a slice whose chunk has a table. */
export function descOf(slice: u32): usize {
  return chunkTable(slice) + ((slice & (L.CHUNK_SLICES - 1)) << L.DESC_SHIFT);
}

/** Address of the word with the bit of a slice. */
function bitWord(bitmap: usize, index: u32): usize {
  return bitmap + ((index >>> 5) << 3);
}

// @cold
export function bitIsSet(bitmap: usize, index: u32): bool {
  return ((load32(bitWord(bitmap, index), 0) >>> (index & 31)) & 1) !== 0;
}

export function bitSet(bitmap: usize, index: u32): void {
  atomicOr(bitWord(bitmap, index), 0, (1 << (index & 31)) >>> 0);
}

export function bitClear(bitmap: usize, index: u32): void {
  atomicAnd(bitWord(bitmap, index), 0, ~(1 << (index & 31)) >>> 0);
}

/**
 * Sets the bits [from, from + count) and returns how many of them were 0. In a shared bitmap these
 * bits must belong to the caller; bits beside them may belong to other threads.
 */
// @cold
export function bitsSet(bitmap: usize, from: u32, count: u32): u32 {
  let changed: u32 = 0;
  let i: u32 = from;
  const end: u32 = from + count;
  while (i < end) {
    const word: usize = bitWord(bitmap, i);
    const mask: u32 = bitsMask(i & 31, end - i);
    const clear: u32 = (mask & ~load32(word, 0)) >>> 0;
    if (clear !== 0) {
      changed = changed + bitsCount(clear);
      atomicOr(word, 0, mask);
    }
    i = ((i | 31) >>> 0) + 1;
  }
  return changed;
}

/** Clears the bits [from, from + count), which belong to the caller. */
// @cold
export function bitsClear(bitmap: usize, from: u32, count: u32): void {
  let i: u32 = from;
  const end: u32 = from + count;
  while (i < end) {
    atomicAnd(bitWord(bitmap, i), 0, ~bitsMask(i & 31, end - i) >>> 0);
    i = ((i | 31) >>> 0) + 1;
  }
}

/** First bit of [from, end) that is 1 after xor with `flip` (0 or all ones), or `end`. */
// @cold
export function bitFind(bitmap: usize, from: u32, end: u32, flip: u32): u32 {
  let i: u32 = from;
  while (i < end) {
    const bits: u32 = ((load32(bitWord(bitmap, i), 0) ^ flip) >>> 0) >>> (i & 31);
    if (bits !== 0) {
      const at: u32 = i + trailingZeros(bits);
      return at < end ? at : end;
    }
    i = ((i | 31) >>> 0) + 1;
  }
  return end;
}

/** The bits of one word from `bit` on, at most `count` of them. */
// @cold
export function bitsMask(bit: u32, count: u32): u32 {
  const left: u32 = 32 - bit;
  if (count >= left) return (0xffffffff << bit) >>> 0;
  return (((1 << count) - 1) << bit) >>> 0;
}

/** Index of the last set bit at or below `from`, or 0 when there is none. */
export function bitsBefore(bitmap: usize, from: u32): u32 {
  let index: u32 = (from | 31) >>> 0;
  let word: u32 = (load32(bitWord(bitmap, index), 0) & (0xffffffff >>> (31 - (from & 31)))) >>> 0;
  while (word === 0) {
    if (index < 32) return 0;
    index = index - 32;
    word = load32(bitWord(bitmap, index), 0);
  }
  return index - leadingZeros(word);
}

/**
 * Descriptor of the page that contains p, for any address, also inside a block or outside the heap;
 * 0 when no page contains it.
 */
export function pageOf(p: usize): usize {
  const slice: u32 = p >>> L.SLICE_SHIFT;
  if (slice >= load32(stateBase, L.S_TOP)) return 0;
  const start: u32 = bitsBefore(stateBase + L.STATE_STARTS, slice);
  if (start === 0 || chunkTable(start) === 0) return 0;
  const page: usize = descOf(start);
  if (load32(page, L.D_OWNER) === 0 || slice - start >= load32(page, L.D_SLICES)) return 0;
  return page;
}

/** Blocks that a page has taken into use so far. */
export function pageCapacity(page: usize): u32 {
  return ((load32(page, L.D_FRESH_END) - load32(page, L.D_START)) / load32(page, L.D_BLOCK)) >>> 0;
}
