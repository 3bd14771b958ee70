/** malloc, free and the calls close to them. The fast paths stand first and call nothing. */

import { binOf, goodSize } from "../layout/bins.ts";
import { heapBind } from "../layout/bound-heap.ts";
import { descAt, pageOf } from "../layout/desc.ts";
import { freeId, heapId, observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { mediumSize, mediumTookZero } from "../pages/medium.ts";
import {
  pageDrop,
  pageEmptied,
  pageHolds,
  pageOnlyFresh,
  pageTake,
  pageTakeFresh,
} from "../pages/page.ts";
import { directPage, queueOf } from "../pages/queue.ts";
import { guardFree, guardSize, sampleCount, sampled, sampleTake } from "../pages/sample.ts";
import { SHARED } from "../target/atomics.ts";
import { errorRaise, load32, memoryZero, mul32, mulOverflows, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { blockOf, freeLocal, freeOutside, mallocMedium } from "./blocks.ts";
import {
  hardContains,
  hardFree,
  hardFreeChecked,
  hardMalloc,
  hardPointerCheck,
  hardUsableSize,
  hardZalloc,
} from "./hardened.ts";
import { mallocGeneric } from "./heap.ts";
import { observeFree, observeMalloc } from "./observe.ts";

/** Returns a block of at least `size` bytes, 16-byte aligned above 8 bytes; 0 = out of memory. */
export function malloc(size: usize): usize {
  if (HARDENED) return hardMalloc(size);
  if (size <= L.DIRECT_MAX) {
    const page: usize = directPage(size);
    const block: usize = load32(page, L.D_FREE);
    if (block !== 0) {
      store32(page, L.D_FREE, load32(block, 0));
      store32(page, L.D_USED, load32(page, L.D_USED) + 1);
      return block;
    }
    return mallocFresh(page, size);
  }
  return mallocByBin(size);
}

/** The free list is empty: a fresh block, or the generic path. */
function mallocFresh(page: usize, size: u32): usize {
  const block: usize = pageTakeFresh(page);
  return block !== 0 ? block : mallocSlow(size);
}

/** Sizes above 1 024 bytes, which are not in the direct table. */
function mallocByBin(size: u32): usize {
  const block: usize = size > L.SMALL_MAX ? mallocMedium(size) : mallocOfQueue(size);
  return observing !== 0 && block !== 0 ? mallocObserved(block, size) : block;
}

/**
 * Reports an allocation and counts it. If it is a sample and the host serves it, frees the block.
 */
// @cold
function mallocObserved(block: usize, size: u32): usize {
  observeMalloc(block, size);
  const counts: u32 = size <= L.SMALL_MAX ? L.OBSERVE_EACH : L.OBSERVE_SAMPLES;
  if ((observing & counts) === 0 || !sampleCount()) return block;
  const guarded: usize = sampleTake(size);
  if (guarded === 0) return block;
  free(block);
  return guarded;
}

function mallocOfQueue(size: u32): usize {
  const page: usize = load32(queueOf(binOf(size)), L.Q_FIRST);
  const block: usize = page !== 0 ? pageTake(page, true) : 0;
  return block !== 0 ? block : mallocGeneric(size);
}

/** The generic path, and every malloc of a small size while observers need the slow path. */
// @cold
function mallocSlow(size: u32): usize {
  if ((observing & L.OBSERVE_SLOW) === 0) return mallocGeneric(size);
  const block: usize = mallocSmall(size);
  return block !== 0 ? mallocObserved(block, size) : 0;
}

/** malloc without the direct table. */
// @cold
function mallocSmall(size: u32): usize {
  const page: usize = load32(queueOf(binOf(size)), L.Q_FIRST);
  if (page === 0) return mallocGeneric(size);
  const block: usize = load32(page, L.D_FREE);
  if (block === 0) {
    const fresh: usize = pageTakeFresh(page);
    return fresh !== 0 ? fresh : mallocGeneric(size);
  }
  store32(page, L.D_FREE, load32(block, 0));
  store32(page, L.D_USED, load32(page, L.D_USED) + 1);
  return block;
}

/**
 * Frees a block, of any thread if the heap is shared; null is ignored. The behaviour is undefined
 * for any other pointer.
 */
export function free(p: usize): void {
  if (HARDENED) {
    hardFree(p);
    return;
  }
  if (p === 0) return;
  const page: usize = descAt(p);
  if (load32(page, L.D_OWNER) !== freeId) {
    freeSlow(p, page);
    return;
  }
  const used: u32 = load32(page, L.D_USED) - 1;
  if (used === 0) {
    pageEmptied(page, p);
    return;
  }
  store32(p, 0, load32(page, L.D_LOCAL));
  store32(page, L.D_LOCAL, p);
  store32(page, L.D_USED, used);
}

/** free with the block's size, or with size and alignment. Both are ignored. */
export function freeSize(p: usize, _size: usize): void {
  free(p);
}

export function freeSizeAligned(p: usize, _size: usize, _alignment: usize): void {
  free(p);
}

/**
 * C++'s operator new: while there is no memory, calls the host, which either frees something, so
 * that the next try succeeds, or throws. If the host does neither, this loops forever.
 */
export function operatorNew(size: usize): usize {
  let p: usize = malloc(size);
  while (p === 0) {
    errorRaise(L.NEW_FAILED, size);
    p = malloc(size);
  }
  return p;
}

/** Full, aligned, medium and large pages, blocks behind the first slice, other threads' pages. */
// @cold
function freeSlow(p: usize, desc: usize): void {
  const first: bool = SHARED
    ? load32(desc, L.D_OWNER) !== 0
    : (load32(desc, L.D_OWNER) & ~L.FLAGS) >>> 0 === heapId;
  const page: usize = first ? desc : pageOf(p);
  if (page === 0) return;
  const owner: u32 = load32(page, L.D_OWNER);
  const large: bool = (owner & L.FLAG_LARGE) !== 0;
  if (!HARDENED && large && load32(page, L.D_GUARDS) !== 0) {
    guardFree(p);
    return;
  }
  if (freeId !== heapId) observeFree(p, owner);
  if (large) {
    pageDrop(page);
    return;
  }
  const block: usize = (owner & L.FLAG_ALIGNED) !== 0 ? blockOf(page, p) : p;
  if ((owner & ~L.FLAGS) >>> 0 === heapId) freeLocal(page, block);
  else freeElsewhere(p, page, block, owner);
}

/** Frees a block of another heap. If the heap is this thread's, binds it for the call. */
function freeElsewhere(p: usize, page: usize, block: usize, owner: u32): void {
  if (freeOutside(page, block, owner)) return;
  const was: usize = heapBind((owner & ~L.FLAGS) >>> 0);
  free(p);
  heapBind(was);
}

/**
 * What p is: PTR_BLOCK; PTR_FOREIGN when no block of this heap contains it; PTR_INTERIOR when it
 * points inside a block. Freed blocks pass as blocks, since only debug heaps track them, and so
 * does any pointer into guarded memory, which the host checks on free.
 */
export function pointerCheck(p: usize): u32 {
  if (HARDENED) return hardPointerCheck(p);
  const page: usize = pageOf(p);
  if (page === 0 || !pageHolds(page, p)) return L.PTR_FOREIGN;
  const owner: u32 = load32(page, L.D_OWNER);
  if ((owner & L.FLAG_LARGE) !== 0 && load32(page, L.D_GUARDS) !== 0) return L.PTR_BLOCK;
  const block: usize = blockOf(page, p);
  if (block === 0) return L.PTR_FOREIGN;
  if ((owner & L.FLAG_ALIGNED) !== 0) return L.PTR_BLOCK;
  return block === p ? L.PTR_BLOCK : L.PTR_INTERIOR;
}

/** Frees p if it is a block or null; else returns what pointerCheck returns and changes nothing. */
export function freeChecked(p: usize): u32 {
  if (HARDENED) return hardFreeChecked(p);
  if (p === 0) return L.PTR_BLOCK;
  const what: u32 = pointerCheck(p);
  if (what === L.PTR_BLOCK) free(p);
  return what;
}

/** Bytes from p to the end of its block; 0 for null and for a pointer that is not in a block. */
export function usableSize(p: usize): usize {
  if (HARDENED) return hardUsableSize(p);
  const page: usize = pageOf(p);
  if (page === 0 || !pageHolds(page, p)) return 0;
  const owner: u32 = load32(page, L.D_OWNER);
  if ((owner & L.FLAG_LARGE) !== 0 && load32(page, L.D_GUARDS) !== 0) return guardSize(p);
  const block: usize = blockOf(page, p);
  if (block === 0) return 0;
  const medium: bool = (owner & L.FLAG_MEDIUM) !== 0;
  return block + (medium ? mediumSize(page, block) : load32(page, L.D_BLOCK)) - p;
}

/** Whether p lies inside a block of this heap, in use or free. */
export function contains(p: usize): bool {
  return HARDENED ? hardContains(p) : usableSize(p) !== 0;
}

/**
 * Returns a block of zeros. Fresh blocks of zero pages need no clearing. The first block of each
 * extension is cleared, since the generic path does not report where it found a block.
 */
export function zalloc(size: usize): usize {
  if (HARDENED) return hardZalloc(size);
  if (size > L.SMALL_MAX) return zallocBig(size);
  if ((observing & L.OBSERVE_SLOW) !== 0) return zallocGeneral(size);
  const page: usize =
    size <= L.DIRECT_MAX ? directPage(size) : load32(queueOf(binOf(size)), L.Q_FIRST);
  const block: usize = page !== 0 && pageOnlyFresh(page) ? pageTakeFresh(page) : 0;
  if (block !== 0) {
    if (load32(page, L.D_ZERO) === L.ZERO_UNKNOWN) memoryZero(block, load32(page, L.D_BLOCK));
    return block;
  }
  return zallocGeneral(size);
}

function zallocGeneral(size: u32): usize {
  const p: usize = malloc(size);
  if (p !== 0) memoryZero(p, p === sampled ? size : goodSize(size));
  return p;
}

function zallocBig(size: u32): usize {
  const p: usize = malloc(size);
  if (p === 0) return 0;
  if (p === sampled) {
    memoryZero(p, size);
    return p;
  }
  const zero: bool =
    size > L.MEDIUM_MAX ? load32(descAt(p), L.D_ZERO) !== L.ZERO_UNKNOWN : mediumTookZero;
  if (!zero) memoryZero(p, goodSize(size));
  return p;
}

export function calloc(count: usize, size: usize): usize {
  return mulOverflows(count, size) ? 0 : zalloc(mul32(count, size));
}

export function mallocn(count: usize, size: usize): usize {
  return mulOverflows(count, size) ? 0 : malloc(mul32(count, size));
}
