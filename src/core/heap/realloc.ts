/**
 * The calls of realloc (specification 5.6). A block stays in place if the new size fills at least
 * half of it; large blocks also grow and shrink in place, slice by slice.
 */

import { goodSize } from "../layout/bins.ts";
import { descAt, pageOf } from "../layout/desc.ts";
import { heapId, observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { mediumBlockOf, mediumResize } from "../pages/medium.ts";
import { pageLargeEnd } from "../pages/page.ts";
import { sampled } from "../pages/sample.ts";
import { slicesWereZero } from "../slices/commit.ts";
import { countAdd } from "../slices/counts.ts";
import { slicesAppend, slicesFree } from "../slices/supply.ts";
import {
  errorRaise,
  load32,
  memoryCopy,
  memoryZero,
  mul32,
  mulOverflows,
  store8,
  store32,
} from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { free, malloc, usableSize } from "./alloc.ts";
import { hardAdmits, hardRefit, hardResizes } from "./hardened.ts";
import { observeResize } from "./observe.ts";

/** As usableSize without the checks, for a pointer that is a block or in no page. */
function blockSize(p: usize): usize {
  if (HARDENED) return usableSize(p);
  const page: usize = descAt(p);
  if (load32(page, L.D_OWNER) === heapId) return load32(page, L.D_BLOCK);
  return usableSize(p);
}

/** Whether a block of `old` bytes keeps a new size: it fits and fills half of the block. */
function sizeFits(old: usize, size: usize): bool {
  return size <= old && size >= old >>> 1 && size !== 0;
}

/**
 * Resizes p. A null p allocates; size 0 gives another minimal block. Returns 0 when there is no
 * memory or p is not a block; p is unchanged then.
 */
export function realloc(p: usize, size: usize): usize {
  return reallocAny(p, size, false);
}

/**
 * realloc that clears the bytes that are added. Only for blocks that were allocated as zeros and
 * resized only by this function. Bytes that are given up by shrinking in place to more than half
 * keep their contents, as in mimalloc; rezallocAlignedAt clears them.
 */
export function rezalloc(p: usize, size: usize): usize {
  return reallocAny(p, size, true);
}

function reallocAny(p: usize, size: usize, zero: bool): usize {
  if (HARDENED && p !== 0 && !hardAdmits(p)) return 0;
  const old: usize = p !== 0 ? blockSize(p) : 0;
  if (sizeFits(old, size)) return HARDENED ? hardRefit(p, size) : p;
  if (p !== 0 && old === 0) {
    if (observing !== 0) errorRaise(L.GUARD_MISUSED, p);
    return 0;
  }
  if (old > L.SMALL_MAX && size > L.SMALL_MAX && resizeInPlace(p, old, size, zero)) {
    observeResize(p, old);
    return p;
  }
  return reallocMove(p, old, size, zero);
}

function reallocMove(p: usize, old: usize, size: usize, zero: bool): usize {
  const q: usize = malloc(size);
  if (q === 0) return 0;
  if (size === 0) store8(q, 0, 0);
  const kept: usize = old < size ? old : size;
  if (q === sampled) memoryCopy(q, p, kept);
  else blockCopy(q, p, kept);
  if (zero) memoryZero(q + kept, blockSize(q) - kept);
  free(p);
  return q;
}

/**
 * Below some hundred bytes the call behind memory.copy costs more than a loop over words. The loop
 * writes up to 3 bytes too many, which matters only for hardened and guarded blocks.
 */
const COPY_LOOP_MAX: u32 = 128;

function blockCopy(to: usize, from: usize, size: u32): void {
  if (HARDENED || size > COPY_LOOP_MAX || ((to | from) & 3) !== 0) {
    memoryCopy(to, from, size);
    return;
  }
  for (let i: u32 = 0; i < size; i += 4) store32(to + i, 0, load32(from + i, 0));
}

/** Resizes medium and large blocks that begin at p. */
function resizeInPlace(p: usize, old: usize, size: usize, zero: bool): bool {
  if (HARDENED && !hardResizes()) return false;
  const page: usize = pageOf(p);
  const owner: u32 = load32(page, L.D_OWNER);
  if ((owner & L.FLAG_LARGE) !== 0) {
    if (size <= L.MEDIUM_MAX || !largeResize(p, size, zero)) return false;
  } else {
    if ((owner & L.FLAG_MEDIUM) === 0 || size > L.MEDIUM_MAX) return false;
    if ((owner & ~L.FLAGS) >>> 0 !== heapId) return false;
    if (mediumBlockOf(page, p) !== p || !mediumResize(page, p, size)) return false;
    if (zero && size > old) memoryZero(p + old, goodSize(size) - old);
  }
  if (zero && size < old) memoryZero(p + size, goodSize(size) - size);
  return true;
}

/** Sets the end of the one block of a large page. */
function largeBound(page: usize, p: usize, slices: u32): void {
  store32(page, L.D_BLOCK, (slices << L.SLICE_SHIFT) >>> 0);
  pageLargeEnd(page, p + ((slices << L.SLICE_SHIFT) >>> 0));
}

/**
 * Gives a large block more or fewer slices in place. At every instant the block ends within its
 * page, and the page has no free slice: a thread that dies in between leaves a block that others
 * may free.
 */
function largeResize(p: usize, size: usize, zero: bool): bool {
  const page: usize = pageOf(p);
  if (load32(page, L.D_START) !== p || size > L.SIZE_MAX) return false;
  const have: u32 = load32(page, L.D_SLICES);
  const want: u32 = (size + (L.SLICE_SIZE - 1)) >>> L.SLICE_SHIFT;
  const end: u32 = (p >>> L.SLICE_SHIFT) + have;
  const owner: u32 = load32(page, L.D_OWNER);
  if (want > have) {
    if (!slicesAppend(owner, end, want - have)) return false;
    if (zero && !slicesWereZero)
      memoryZero((end << L.SLICE_SHIFT) >>> 0, (want - have) << L.SLICE_SHIFT);
    store32(page, L.D_SLICES, want);
    largeBound(page, p, want);
  } else if (want < have) {
    largeBound(page, p, want);
    store32(page, L.D_SLICES, want);
    slicesFree(owner, end - (have - want), have - want);
    countAdd(L.COUNT_SLICES_GONE, have - want);
  }
  return true;
}

export function reallocn(p: usize, count: usize, size: usize): usize {
  return mulOverflows(count, size) ? 0 : realloc(p, mul32(count, size));
}

/** realloc that frees p when it fails. */
export function reallocf(p: usize, size: usize): usize {
  const q: usize = realloc(p, size);
  if (q === 0) free(p);
  return q;
}

export function recalloc(p: usize, count: usize, size: usize): usize {
  return mulOverflows(count, size) ? 0 : rezalloc(p, mul32(count, size));
}

/** Returns p when its block can hold `size` bytes, else 0. Never moves. */
export function expand(p: usize, size: usize): usize {
  if (HARDENED && !hardResizes()) return 0;
  return p !== 0 && size <= usableSize(p) ? p : 0;
}
