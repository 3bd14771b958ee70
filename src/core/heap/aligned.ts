/**
 * Aligned allocation (specification 6). Most requests need nothing special: a block of a page is
 * aligned to every power of two that divides its size, and large blocks begin at a slice.
 */

import { sizeFull, sizeKept } from "../hard/features.ts";
import { goodSize } from "../layout/bins.ts";
import { pageOf } from "../layout/desc.ts";
import { observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { sampleHold, sampleWithin } from "../pages/sample.ts";
import { errorRaise, load32, memoryCopy, memoryZero, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { free, malloc, usableSize } from "./alloc.ts";
import {
  blockPrepare,
  hardAdmits,
  hardMallocLarge,
  hardMallocOf,
  hardMallocRaw,
  hardRefit,
} from "./hardened.ts";
import { mallocLargeAligned } from "./heap.ts";
import { observeHold, observeMalloc } from "./observe.ts";
import { realloc, reallocn } from "./realloc.ts";

function isPowerOfTwo(x: u32): bool {
  return x !== 0 && (x & (x - 1)) === 0;
}

/** Returns a block whose address is a multiple of `alignment`, a power of two; else 0. */
export function memalign(alignment: usize, size: usize): usize {
  if (!isPowerOfTwo(alignment) || size > L.SIZE_MAX) return 0;
  if (HARDENED) return hardMemalign(alignment, size);
  // The host needs the requested size and alignment if this allocation is a sample.
  sampleWithin(alignment, size);
  const p: usize = memalignUnhardened(alignment, size);
  sampleWithin(1, 0);
  return p;
}

function memalignUnhardened(alignment: usize, size: usize): usize {
  if (alignment > L.SLICE_SIZE) return mallocLargeAligned(size, alignment >>> L.SLICE_SHIFT);
  const rounded: usize = ((size + (alignment - 1)) & ~(alignment - 1)) >>> 0;
  if (isNatural(alignment, size)) return malloc(size);
  if (isNatural(alignment, rounded)) return malloc(rounded);
  return mallocInside(alignment, size, 0);
}

/** As memalign, with space for a record behind the size. */
function hardMemalign(alignment: usize, size: usize): usize {
  if (alignment > L.SLICE_SIZE) return hardMallocLarge(size, alignment >>> L.SLICE_SHIFT);
  const full: usize = sizeFull(size);
  const rounded: usize = ((full + (alignment - 1)) & ~(alignment - 1)) >>> 0;
  if (isNatural(alignment, full)) return hardMallocOf(size, full);
  if (isNatural(alignment, rounded)) return hardMallocOf(size, rounded);
  return mallocInside(alignment, size, 0);
}

/** Whether every block that serves `size` is aligned already. */
function isNatural(alignment: usize, size: usize): bool {
  if (size > L.MEDIUM_MAX) return true;
  if (size > L.SMALL_MAX) return alignment <= L.UNIT_SIZE;
  return (goodSize(size) & (alignment - 1)) === 0;
}

/**
 * Returns a block p with (p + offset) a multiple of `alignment`. An alignment above ALIGNMENT_MAX
 * cannot have an offset.
 */
export function memalignAt(alignment: usize, size: usize, offset: usize): usize {
  if (offset === 0) return memalign(alignment, size);
  if (!isPowerOfTwo(alignment) || alignment > L.ALIGNMENT_MAX || size > L.SIZE_MAX) return 0;
  return mallocInside(alignment, size, offset);
}

/**
 * Allocates more than needed and returns an address inside the block; a flag in the page says so.
 */
function mallocInside(alignment: usize, size: usize, offset: usize): usize {
  if (observing !== 0) return observedInside(alignment, size, offset);
  return insideTake(alignment, size, offset);
}

function insideTake(alignment: usize, size: usize, offset: usize): usize {
  const bytes: usize = (HARDENED ? sizeKept(size) : size) + (alignment - 1);
  const block: usize = HARDENED ? hardMallocRaw(sizeFull(bytes)) : malloc(bytes);
  if (block === 0) return 0;
  const over: u32 = ((block + offset) & (alignment - 1)) >>> 0;
  if (HARDENED) blockPrepare(block, over === 0 ? block : block + (alignment - over), size, false);
  if (over === 0) return block;
  const page: usize = pageOf(block);
  store32(page, L.D_OWNER, (load32(page, L.D_OWNER) | L.FLAG_ALIGNED) >>> 0);
  return block + (alignment - over);
}

/** Observers get the address that the program gets, not that of the block. */
function observedInside(alignment: usize, size: usize, offset: usize): usize {
  const was: bool = sampleHold(offset !== 0);
  observeHold(true);
  const p: usize = insideTake(alignment, size, offset);
  observeHold(false);
  sampleHold(was);
  if (p !== 0) observeMalloc(p, size);
  return p;
}

/** operatorNew of C++17 for types of any alignment. */
export function operatorNewAligned(size: usize, alignment: usize): usize {
  let p: usize = memalign(alignment, size);
  while (p === 0) {
    errorRaise(L.NEW_FAILED, size);
    p = memalign(alignment, size);
  }
  return p;
}

/** Stores an aligned block at `out`. Returns 0, EINVAL or ENOMEM; on error `out` is unchanged. */
export function posixMemalign(out: usize, alignment: usize, size: usize): u32 {
  if (out === 0 || alignment < L.POINTER_SIZE || !isPowerOfTwo(alignment)) return L.EINVAL;
  const p: usize = memalign(alignment, size);
  if (p === 0) return L.ENOMEM;
  store32(out, 0, p);
  return 0;
}

/** Resizes the block whose address is stored at `at`. Returns 0, EINVAL or ENOMEM. */
export function reallocarr(at: usize, count: usize, size: usize): u32 {
  if (at === 0) return L.EINVAL;
  const p: usize = reallocn(load32(at, 0), count, size);
  if (p === 0) return L.ENOMEM;
  store32(at, 0, p);
  return 0;
}

/** As memalignAt; the whole block is zero. */
export function zallocAlignedAt(size: usize, alignment: usize, offset: usize): usize {
  const p: usize = memalignAt(alignment, size, offset);
  if (p !== 0) memoryZero(p, usableSize(p));
  return p;
}

/** realloc that keeps (p + offset) a multiple of `alignment`. */
export function reallocAlignedAt(p: usize, size: usize, alignment: usize, offset: usize): usize {
  return reallocAlignedAny(p, size, alignment, offset, false);
}

/**
 * As reallocAlignedAt; clears the bytes that are added, and those that are given up by shrinking in
 * place. Only for blocks that were allocated as zeros.
 */
export function rezallocAlignedAt(p: usize, size: usize, alignment: usize, offset: usize): usize {
  return reallocAlignedAny(p, size, alignment, offset, true);
}

function reallocAlignedAny(
  p: usize,
  size: usize,
  alignment: usize,
  offset: usize,
  zero: bool,
): usize {
  if (!isPowerOfTwo(alignment)) return 0;
  if (alignment <= L.WORD && !zero) return realloc(p, size);
  if (HARDENED && p !== 0 && !hardAdmits(p)) return 0;
  const old: usize = usableSize(p);
  if (p !== 0 && old === 0) return 0;
  const over: u32 = ((p + offset) & (alignment - 1)) >>> 0;
  if (over === 0 && p !== 0 && size <= old && size >= old - (old >>> 1)) {
    if (zero) memoryZero(p + size, old - size);
    return HARDENED ? hardRefit(p, size) : p;
  }
  const q: usize = memalignAt(alignment, size, offset);
  if (q === 0) return 0;
  const kept: usize = old < size ? old : size;
  memoryCopy(q, p, kept);
  if (zero) memoryZero(q + kept, usableSize(q) - kept);
  free(p);
  return q;
}

/**
 * realloc to a block at a multiple of `alignment`, also if p is not at one. mimalloc 2.1 takes the
 * remainder of p for an offset instead, and returns a block that is not aligned.
 */
export function reallocAligned(p: usize, size: usize, alignment: usize): usize {
  return reallocAlignedAt(p, size, alignment, 0);
}
