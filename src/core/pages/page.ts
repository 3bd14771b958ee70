/**
 * Pages: runs of slices that are divided into blocks of one size, or hold one large block.
 *
 * A page takes its blocks into use a few at a time (pageExtend) and writes to none of them; a block
 * holds a link only after it was freed. malloc takes blocks from `free`, and free puts them on
 * `local free`. Since the lists are separate, `free` runs empty at regular intervals, and malloc
 * does all periodic work then. After mimalloc (Leijen, Zorn, de Moura 2019).
 */

import { featureOn } from "../hard/features.ts";
import { guardBytes, guardedSize, guardLift, guardRaise } from "../hard/guards.ts";
import { linkLoad, linkStore } from "../hard/links.ts";
import { randomNext } from "../hard/random.ts";
import { pageExtendShuffled } from "../hard/shuffle.ts";
import { binSize } from "../layout/bins.ts";
import { bitClear, bitSet, descOf, pageCapacity } from "../layout/desc.ts";
import { heapBase, heapId, observing, stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { slicesWereZero } from "../slices/commit.ts";
import { countAdd, countPage, countPageGone } from "../slices/counts.ts";
import { purgeTick } from "../slices/purge.ts";
import { slicesAlloc, slicesFree } from "../slices/supply.ts";
import { SHARED } from "../target/atomics.ts";
import { load32, store32 } from "../target/glue.ts";
import { hostReport } from "../target/glue-hard.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { queueFromFull, queuePush, queueRemove } from "./queue.ts";
import {
  sampleBatch,
  sampleCutFree,
  sampleGone,
  sampleIsIn,
  sampleRenew,
  sampleWarm,
} from "./sample.ts";

/**
 * Fills in the descriptor of a run that was just allocated for a page with blocks of one size from
 * `start` on. The caller fills in what depends on the kind of page, then calls pagePublish.
 */
// @cold
export function pageClaim(slice: u32, count: u32, block: u32, start: usize): usize {
  const page: usize = descOf(slice);
  store32(page, L.D_FREE, 0);
  store32(page, L.D_LOCAL, 0);
  store32(page, L.D_USED, 0);
  store32(page, L.D_THREAD, 0);
  store32(page, L.D_BLOCK, block);
  store32(page, L.D_START, start);
  store32(page, L.D_FRESH, start);
  store32(page, L.D_FRESH_END, start);
  store32(page, L.D_NEXT, 0);
  store32(page, L.D_PREV, 0);
  store32(page, L.D_SLICES, count);
  store32(page, L.D_RETIRE, 0);
  store32(page, L.D_ZERO, slicesWereZero ? start : L.ZERO_UNKNOWN);
  return page;
}

/**
 * Makes a page ours and visible. Called last, so that a thread that dies before this leaves slices
 * that are in no page, never an incomplete page.
 */
export function pagePublish(page: usize, flags: u32): void {
  countPage();
  store32(page, L.D_OWNER, heapId | flags);
  bitSet(stateBase + L.STATE_STARTS, load32(page, L.D_START) >>> L.SLICE_SHIFT);
}

/** Gives the slices of a page back. The page must be in no queue. */
export function pageDrop(page: usize): void {
  countPageGone(load32(page, L.D_SLICES));
  if (HARDENED) guardLift(page);
  const slice: u32 = load32(page, L.D_START) >>> L.SLICE_SHIFT;
  const owner: u32 = load32(page, L.D_OWNER);
  store32(page, L.D_OWNER, 0);
  store32(page, L.D_BIN, SHARED ? L.BIN_OURS : L.BIN_NONE);
  bitClear(stateBase + L.STATE_STARTS, slice);
  slicesFree(owner, slice, load32(page, L.D_SLICES));
}

/**
 * Offset of the first block in a small page. Without it the first blocks of all pages would share a
 * cache set.
 */
function pageColour(block: u32): u32 {
  if (block <= 64) return block * 3;
  return block <= 512 ? block : 0;
}

/** Slices of a page for blocks of a size. */
export function pageSlices(size: u32): u32 {
  if (size > L.MEDIUM_MAX) return (size + (L.SLICE_SIZE - 1)) >>> L.SLICE_SHIFT;
  return size <= L.SMALL_MAX ? 1 : L.MEDIUM_SLICES;
}

/** Makes a page for a bin, with fresh blocks, at the front of its queue; 0 = out of memory. */
export function pageFresh(bin: u32): usize {
  const block: u32 = binSize(bin);
  const slice: u32 = slicesAlloc(1, 1);
  if (slice === 0) return 0;
  const colour: u32 = pageColour(block);
  const start: usize = ((slice << L.SLICE_SHIFT) + colour) >>> 0;
  const page: usize = pageClaim(slice, 1, block, start);
  const fits: u32 = ((L.SLICE_SIZE - colour) / block) >>> 0;
  store32(page, L.D_END, start + fits * block);
  store32(page, L.D_BIN, bin);
  if (HARDENED) store32(page, L.D_KEY, randomNext());
  pageExtend(page);
  pagePublish(page, 0);
  queuePush(page);
  return page;
}

/**
 * Takes the next blocks into use: 4 KiB of them, at least 4 blocks. Not all at once, so that malloc
 * takes the generic path at regular intervals, and freed blocks are used again before untouched
 * memory.
 */
// @cold
export function pageExtend(page: usize): void {
  countAdd(L.COUNT_EXTENDS, 1);
  if (HARDENED && featureOn(L.HARD_SHUFFLE)) {
    pageExtendShuffled(page);
    return;
  }
  const block: u32 = load32(page, L.D_BLOCK);
  const end: usize = load32(page, L.D_FRESH_END);
  const few: u32 =
    block * L.EXTEND_MIN > L.EXTEND_SIZE ? L.EXTEND_MIN : (L.EXTEND_SIZE / block) >>> 0;
  const left: usize = pageEnd(page) - end;
  const more: usize = few * block;
  const space: usize = more < left ? more : left;
  const some: bool = !HARDENED && (observing & L.OBSERVE_SOME) !== 0;
  const take: usize = some ? sampleBatch(page, (space / block) >>> 0) * block : space;
  store32(page, L.D_FRESH_END, end + take);
}

/** One past the last block that fits in a small page. */
export function pageEnd(page: usize): usize {
  return (load32(page, L.D_END) & ~L.END_SAMPLE) >>> 0;
}

/** Whether the next block that a page gives, if it gives one, is a fresh one. */
export function pageOnlyFresh(page: usize): bool {
  return (load32(page, L.D_FREE) | load32(page, L.D_LOCAL)) === 0;
}

/** Makes the freed blocks the free list. */
export function pageSwap(page: usize): void {
  store32(page, L.D_FREE, load32(page, L.D_LOCAL));
  store32(page, L.D_LOCAL, 0);
  if (!HARDENED && (observing & L.OBSERVE_SOME) !== 0) sampleCutFree(page);
}

/**
 * Takes a block of a page, 0 when it has none. Freed blocks come before fresh ones here: above 1
 * KiB, a block of untouched memory costs more than the regular heartbeat, which small sizes get
 * from the other order (64 KiB buffers by turns touched 256 KiB, now 128). `stops`: takes none if a
 * sample is due, so that malloc takes the generic path.
 */
export function pageTake(page: usize, stops: bool): usize {
  if (load32(page, L.D_FREE) === 0) {
    if (stops && !HARDENED && (observing & L.OBSERVE_SOME) !== 0 && sampleIsIn(page)) return 0;
    if (load32(page, L.D_LOCAL) === 0) return pageTakeFresh(page);
    pageSwap(page);
  }
  if (HARDENED) return pagePop(page);
  const block: usize = load32(page, L.D_FREE);
  store32(page, L.D_FREE, load32(block, 0));
  store32(page, L.D_USED, load32(page, L.D_USED) + 1);
  return block;
}

/** Whether an address from a link can be a block of a page. */
export function linkIsGood(page: usize, next: usize): bool {
  return pageHolds(page, next) && (next & 7) === 0;
}

/** Takes the first block of `free`, which is not empty, in a hardened heap. */
export function pagePop(page: usize): usize {
  const block: usize = load32(page, L.D_FREE);
  const next: usize = linkLoad(page, block);
  store32(page, L.D_USED, load32(page, L.D_USED) + 1);
  store32(page, L.D_FREE, next);
  if (next !== 0 && featureOn(L.HARD_ENCODE) && !linkIsGood(page, next)) listCut(page, block, next);
  return block;
}

/** Cuts a list at a damaged link. The blocks behind it stay in use for ever. */
function listCut(page: usize, block: usize, next: usize): void {
  store32(page, L.D_FREE, 0);
  pageRepair(page);
  hostReport(L.REPORT_FREE_LIST, block, load32(page, L.D_BLOCK), next);
}

export function pageTakeFresh(page: usize): usize {
  const block: usize = load32(page, L.D_FRESH);
  if (block === load32(page, L.D_FRESH_END)) return 0;
  store32(page, L.D_FRESH, block + load32(page, L.D_BLOCK));
  store32(page, L.D_USED, load32(page, L.D_USED) + 1);
  return block;
}

/** Gives an empty page of a queue back. */
export function pageRelease(page: usize): void {
  if (!HARDENED && (observing & L.OBSERVE_SOME) !== 0) sampleGone(page);
  queueRemove(page);
  pageDrop(page);
}

/**
 * Frees the last block in use of a page without flags. The only page of its queue is retired: kept
 * for a while. Any other page is given back at once.
 *
 * The block goes on `free` and not on `local free`: a program that allocates and frees in pairs
 * gets the block again that is warm in the cache, and allocation does not move through the page
 * (1.2x on pairs of mixed sizes). But then malloc never takes the generic path in such a program,
 * so every WARM_MAX such frees do the periodic work instead.
 */
export function pageEmptied(page: usize, block: usize): void {
  if ((load32(page, L.D_NEXT) | load32(page, L.D_PREV)) !== 0) {
    countAdd(L.COUNT_NO_RETIRE, 1);
    pageRelease(page);
    return;
  }
  const warm: u32 = load32(heapBase, L.H_WARM);
  store32(heapBase, L.H_WARM, warm - 1);
  store32(page, L.D_USED, 0);
  if (HARDENED) {
    localPush(page, block);
  } else {
    store32(block, 0, load32(page, L.D_FREE));
    store32(page, L.D_FREE, block);
  }
  if (load32(page, L.D_RETIRE) === 0) pageRetire(page);
  store32(page, L.D_RETIRE, L.RETIRE_SMALL);
  if (warm === 1) warmBeat(page);
}

/** A heartbeat of a program that allocates and frees in pairs; its page is empty at this point. */
// @cold
function warmBeat(page: usize): void {
  heapBeat();
  if (!HARDENED && (observing & L.OBSERVE_SOME) !== 0) sampleRenew(page);
}

/** In a hardened heap the block that was freed last is not allocated next. */
function localPush(page: usize, block: usize): void {
  linkStore(page, block, load32(page, L.D_LOCAL));
  store32(page, L.D_LOCAL, block);
}

/** Counts a heartbeat and does the periodic work; every TICK_BEATS heartbeats are a tick. */
export function heapBeat(): void {
  const beat: u32 = load32(heapBase, L.H_HEARTBEAT) + 1;
  store32(heapBase, L.H_HEARTBEAT, beat);
  if (!HARDENED && (observing & L.OBSERVE_SOME) !== 0)
    sampleWarm(L.WARM_MAX - load32(heapBase, L.H_WARM));
  store32(heapBase, L.H_WARM, L.WARM_MAX);
  if ((beat & (L.TICK_BEATS - 1)) === 0) purgeTick();
}

/** Extends the range of bins that sweeps visit. */
// @cold
export function pageRetire(page: usize): void {
  const bin: u32 = load32(page, L.D_BIN);
  if (bin < load32(heapBase, L.H_RETIRE_MIN)) store32(heapBase, L.H_RETIRE_MIN, bin);
  if (bin > load32(heapBase, L.H_RETIRE_MAX)) store32(heapBase, L.H_RETIRE_MAX, bin);
}

/** Frees a block of a page of ours that may be full. `block` is the first byte of the block. */
export function pageFreeBlock(page: usize, block: usize): void {
  const used: u32 = load32(page, L.D_USED) - 1;
  if (used === 0) {
    if ((load32(page, L.D_OWNER) & L.FLAG_FULL) !== 0) queueFromFull(page);
    store32(page, L.D_OWNER, (load32(page, L.D_OWNER) & ~L.FLAG_ALIGNED) >>> 0);
    pageEmptied(page, block);
    return;
  }
  if (HARDENED) {
    localPush(page, block);
  } else {
    store32(block, 0, load32(page, L.D_LOCAL));
    store32(page, L.D_LOCAL, block);
  }
  store32(page, L.D_USED, used);
  if ((load32(page, L.D_OWNER) & L.FLAG_FULL) !== 0) queueFromFull(page);
}

/** Makes a page of one block, its run aligned to `alignment` slices; 0 = out of memory. */
export function pageLarge(size: u32, alignment: u32): usize {
  const bytes: u32 = HARDENED ? size + guardBytes() : size;
  const count: u32 = bytes === 0 ? 1 : (bytes + (L.SLICE_SIZE - 1)) >>> L.SLICE_SHIFT;
  const slice: u32 = slicesAlloc(count, alignment);
  if (slice === 0) return 0;
  const block: u32 = HARDENED ? guardedSize(size, count) : (count << L.SLICE_SHIFT) >>> 0;
  const start: usize = (slice << L.SLICE_SHIFT) >>> 0;
  const page: usize = pageClaim(slice, count, block, start);
  store32(page, L.D_BIN, L.BIN_LARGE);
  store32(page, L.D_USED, 1);
  pageLargeEnd(page, start + block);
  pagePublish(page, L.FLAG_LARGE);
  if (HARDENED) guardRaise(page);
  return page;
}

/** Sets the end of the one block of a large page. */
export function pageLargeEnd(page: usize, end: usize): void {
  store32(page, L.D_FRESH, end);
  store32(page, L.D_FRESH_END, end);
  store32(page, L.D_END, end);
}

/** Start of the block that contains p, an address inside the blocks of a small or large page. */
export function pageBlockOf(page: usize, p: usize): usize {
  const start: usize = load32(page, L.D_START);
  const block: u32 = load32(page, L.D_BLOCK);
  return start + (((p - start) / block) >>> 0) * block;
}

/** Whether p lies in the blocks that a page has taken into use. */
export function pageHolds(page: usize, p: usize): bool {
  return p >= load32(page, L.D_START) && p < load32(page, L.D_FRESH_END);
}

const LIST_DAMAGED: u32 = 0xffffffff;

/**
 * Number of blocks on a list; LIST_DAMAGED for a block outside the page or a cycle (more than
 * `limit` blocks). O(blocks).
 */
// @cold
function listLength(page: usize, head: usize, limit: u32): u32 {
  let count: u32 = 0;
  let block: usize = head;
  while (block !== 0) {
    if (count > limit || !pageHolds(page, block) || pageBlockOf(page, block) !== block) {
      return LIST_DAMAGED;
    }
    count = count + 1;
    block = HARDENED ? linkLoad(page, block) : load32(block, 0);
  }
  return count;
}

/**
 * Repairs the lists and counters of a small page whose owner was terminated during an operation. A
 * block that was on no list at that moment stays in use for ever, as do blocks behind a link that
 * leads out of the page.
 */
export function pageRepair(page: usize): void {
  const capacity: u32 = pageCapacity(page);
  if (load32(page, L.D_FREE) === load32(page, L.D_LOCAL)) store32(page, L.D_LOCAL, 0);
  let free: u32 = listLength(page, load32(page, L.D_FREE), capacity);
  let local: u32 = listLength(page, load32(page, L.D_LOCAL), capacity);
  if (free === LIST_DAMAGED) free = listForget(page, L.D_FREE);
  if (local === LIST_DAMAGED) local = listForget(page, L.D_LOCAL);
  const fresh: u32 = load32(page, L.D_FRESH_END) - load32(page, L.D_FRESH);
  const unused: u32 = free + local + ((fresh / load32(page, L.D_BLOCK)) >>> 0);
  store32(page, L.D_USED, capacity - unused);
}

function listForget(page: usize, list: u32): u32 {
  store32(page, list, 0);
  return 0;
}

/**
 * Checks the counting equation of layout.ts, and that every list stays inside the page. O(blocks).
 */
export function pageIsValid(page: usize): bool {
  const capacity: u32 = pageCapacity(page);
  const used: u32 = load32(page, L.D_USED);
  if (used > capacity || load32(page, L.D_FRESH_END) > pageEnd(page)) return false;
  if (load32(page, L.D_FRESH) > load32(page, L.D_FRESH_END)) return false;
  if ((load32(page, L.D_OWNER) & ~L.FLAGS) >>> 0 !== heapId) return false;
  const fresh: u32 = load32(page, L.D_FRESH_END) - load32(page, L.D_FRESH);
  const free: u32 = listLength(page, load32(page, L.D_FREE), capacity);
  const local: u32 = listLength(page, load32(page, L.D_LOCAL), capacity);
  if (free > capacity || local > capacity) return false;
  return used + free + local + ((fresh / load32(page, L.D_BLOCK)) >>> 0) === capacity;
}
