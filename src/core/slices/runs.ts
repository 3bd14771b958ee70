/**
 * Runs of slices in a bitmap, one bit for each slice, 1 = free, claimed and given back by any
 * thread.
 *
 * Words change by compare-and-swap, so a thread that stops in the middle blocks no other. A run
 * that crosses words is claimed word by word and given back when a later word fails. A bit that is
 * read without claiming it is a guess.
 */

import { bitsMask } from "../layout/desc.ts";
import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicCas, atomicLoad, atomicOr } from "../target/atomics.ts";
import { bitsCount, leadingZeros, load32, trailingZeros } from "../target/glue.ts";
import { rangePurge } from "./commit.ts";

/** Index of the first run of `count` ones in a word, at most 31; 32 = there is none. */
function bitsRun(bits: u32, count: u32): u32 {
  let rest: u32 = bits;
  let length: u32 = 1;
  while (length < count) {
    const more: u32 = count - length < length ? count - length : length;
    rest = (rest & (rest >>> more)) >>> 0;
    length = length + more;
  }
  return rest !== 0 ? trailingZeros(rest) : 32;
}

// @cold
function wordOf(bitmap: usize, slice: u32): usize {
  return bitmap + ((slice >>> 5) << 2);
}

export function runIsFree(bitmap: usize, slice: u32): bool {
  return ((load32(wordOf(bitmap, slice), 0) >>> (slice & 31)) & 1) !== 0;
}

/**
 * The first of `count` free slices in [from, end), or 0. Other threads may claim them meanwhile.
 */
export function runFind(bitmap: usize, from: u32, end: u32, count: u32): u32 {
  let run: u32 = 0;
  let mask: u32 = (0xffffffff << (from & 31)) >>> 0;
  for (let at: u32 = (from & ~31) >>> 0; at < end; at += 32) {
    const bits: u32 = (load32(bitmap + ((at >>> 5) << 2), 0) & mask) >>> 0;
    mask = 0xffffffff;
    if (bits === 0) {
      run = 0;
      continue;
    }
    const head: u32 = bits === 0xffffffff ? 32 : trailingZeros(~bits >>> 0);
    if (run + head >= count) return runWithin(at - run, count, end);
    if (head === 32) {
      run = run + 32;
      continue;
    }
    const bit: u32 = count < 32 ? bitsRun(bits, count) : 32;
    if (bit !== 32) return runWithin(at + bit, count, end);
    run = leadingZeros(~bits >>> 0);
  }
  return 0;
}

/**
 * Returns a run that was found unless it reaches behind the end, where slices have other owners.
 */
function runWithin(slice: u32, count: u32, end: u32): u32 {
  return slice + count <= end ? slice : 0;
}

/** Claims the slices [slice, slice + count) if all of them are free. */
export function runClaim(bitmap: usize, slice: u32, count: u32): bool {
  const end: u32 = slice + count;
  let i: u32 = slice;
  while (i < end) {
    if (!wordClaim(wordOf(bitmap, i), bitsMask(i & 31, end - i))) {
      if (i !== slice) runPut(bitmap, slice, i - slice);
      return false;
    }
    i = ((i | 31) >>> 0) + 1;
  }
  return true;
}

function wordClaim(word: usize, mask: u32): bool {
  let bits: u32 = atomicLoad(word, 0);
  while ((bits & mask) >>> 0 === mask) {
    if (atomicCas(word, 0, bits, (bits & ~mask) >>> 0)) return true;
    bits = atomicLoad(word, 0);
  }
  return false;
}

/** Makes slices free; returns how many of them were not. */
// @cold
export function runPut(bitmap: usize, slice: u32, count: u32): u32 {
  const end: u32 = slice + count;
  let changed: u32 = 0;
  let i: u32 = slice;
  while (i < end) {
    const mask: u32 = bitsMask(i & 31, end - i);
    changed = changed + bitsCount((mask & ~atomicOr(wordOf(bitmap, i), 0, mask)) >>> 0);
    i = ((i | 31) >>> 0) + 1;
  }
  return changed;
}

/**
 * Purges the free and dirty slices in [from, end). At most a word's run, 2 MiB, is claimed at a
 * time, so that threads that look for memory meanwhile miss little of it and do not grow.
 */
export function runsPurge(bitmap: usize, from: u32, end: u32): void {
  let slice: u32 = from;
  while (slice < end) {
    const free: u32 = load32(wordOf(bitmap, slice), 0);
    const dirty: u32 = load32(stateBase + ((slice >>> 5) << 3), L.STATE_DIRTY);
    const mask: u32 = bitsMask(slice & 31, end - slice);
    const bits: u32 = (free & dirty & mask) >>> 0;
    if (bits !== 0) {
      slice = ((slice & ~31) >>> 0) + trailingZeros(bits);
      const count: u32 = onesLength(bits >>> (slice & 31));
      runPurgeClaimed(bitmap, slice, count);
      slice = slice + count;
    } else {
      slice = ((slice | 31) >>> 0) + 1;
    }
  }
}

/** Number of ones at the low end of a word. */
function onesLength(bits: u32): u32 {
  return bits === 0xffffffff ? 32 : trailingZeros(~bits >>> 0);
}

function runPurgeClaimed(bitmap: usize, slice: u32, count: u32): void {
  if (!runClaim(bitmap, slice, count)) return;
  rangePurge(slice, count);
  runPut(bitmap, slice, count);
}
