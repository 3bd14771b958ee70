/**
 * Samples: one allocation in `every` is offered to the host, which may serve it with a block beside
 * guard pages. malloc's fast path gets no additional instruction. When a small page gets blocks in
 * a batch, on the generic path, the whole batch is counted at once. A batch that contains the next
 * sample is cut before it, so that the page runs empty there and malloc takes the generic path
 * again:
 *
 *   left: allocations before the next sample for which no page has been given a block yet
 *
 *   batch of 12, left 4   | 4 blocks | . . . . . . . . |  the rest goes back to its list;
 *                                    ^ sample             the page is marked: END_SAMPLE in D_END
 *
 * A block that is freed and allocated again without the generic path is counted at a heartbeat. A
 * block that was given to a page and disappears with it is subtracted: blocks given + blocks again
 * == allocations + blocks that pages still have. So the number of samples is right, whatever the
 * program does; but they are not always those that a count one by one would choose.
 *
 * Medium and large sizes are counted one by one, and so is every size in the mode OBSERVE_EACH, in
 * which no allocation takes the fast path. Gaps are uniform from 1 to 2 every - 1, as in GWP-ASan
 * (LLVM), so that a periodic program does not avoid the samples.
 *
 * Guarded blocks lie in a large page whose descriptor points to a table of them, by which the slow
 * path of any thread's free recognises them.
 */
import { heapIsBacking } from "../layout/bound-heap.ts";
import { pageCapacity } from "../layout/desc.ts";
import * as L from "../layout/layout.ts";
import { errorRaise, load32, mul32, store32 } from "../target/glue.ts";

/** The last block that the host served: the host has filled it, and its size is exact. */
export let sampled: usize = 0;
let every: u32 = 1;
/** State of the generator of gaps: linear congruential (Numerical Recipes). */
let random: u32 = 1;
/** Allocations up to the next sample. Negative: the sample is late by so many. */
let left: i32 = 0;
/** Samples that were pending in pages that are gone. */
let due: u32 = 0;
let held: bool = false;
/** Of the current allocation: its alignment and, unless 0, its size without slack. */
let alignment: u32 = 1;
let exact: u32 = 0;
let result: u32 = 0;

/** Begins to count, as observeBind sets. `each`: 1 to 2^30, for OBSERVE_SOME at least 2. */
export function sampleBegin(each: u32, seed: u32): void {
  every = each;
  random = seed;
  sampled = 0;
  due = 0;
  left = gapDraw();
}

/** The alignment of the allocation that is offered to the host; 1 = as malloc aligns. */
export function sampleAlignment(): u32 {
  return alignment;
}

/** Sets the result of SAMPLE_DUE, a block or 0, or of GUARD_SIZE. */
export function sampleResult(value: u32): void {
  result = value;
}

/** Allocations between two samples: 0 to 2 every - 2. */
function gapDraw(): i32 {
  random = (mul32(random, 1664525) + 1013904223) >>> 0;
  return random % (2 * every - 1);
}

/** Switches sampling and counting off or on again; returns whether it was off. */
export function sampleHold(hold: bool): bool {
  const was: bool = held;
  held = hold;
  return was;
}

/** Sets the size and alignment of the request that the next malloc serves; 1, 0: its own. */
export function sampleWithin(to: u32, size: u32): void {
  alignment = to;
  exact = size;
}

/** Counts an allocation; returns whether it is a sample. */
export function sampleCount(): bool {
  if (held) return false;
  if (left > 0) {
    left = left - 1;
    return false;
  }
  left = left + gapDraw();
  return true;
}

/** Offers an allocation that is a sample to the host; returns its block, 0 = none. */
// @cold
export function sampleTake(size: u32): usize {
  if (!heapIsBacking()) return 0;
  sampled = hostAsk(L.SAMPLE_DUE, exact !== 0 ? exact : size);
  return sampled;
}

// @cold
function hostAsk(code: u32, value: u32): u32 {
  result = 0;
  errorRaise(code, value);
  return result;
}

/**
 * Called on the generic path, when the first page of the queue has no block: returns the host's
 * block if this allocation is a sample, else 0.
 */
// @cold
export function sampleGeneric(first: usize, size: u32): usize {
  let block: usize = 0;
  while (block === 0 && !held && sampleIsDue(first)) block = sampleTake(size);
  return block;
}

/** Takes a due sample off the count. After a time without the generic path several may be due. */
function sampleIsDue(first: usize): bool {
  if (left > 0 && due === 0) return pageMarkTake(first);
  if (left <= 0) left = left + gapDraw();
  else due = due - 1;
  return true;
}

/**
 * Whether a page is empty up to its mark, which is removed then. For sizes that use fresh blocks
 * last, the mark is behind the free list.
 */
function pageMarkTake(page: usize): bool {
  if (page === 0 || !sampleIsIn(page) || load32(page, L.D_FREE) !== 0) return false;
  const fresh: bool = load32(page, L.D_FRESH) !== load32(page, L.D_FRESH_END);
  if (fresh && load32(page, L.D_BLOCK) <= L.DIRECT_MAX) return false;
  store32(page, L.D_END, load32(page, L.D_END) - L.END_SAMPLE);
  return true;
}

/** Whether a sample is pending behind the blocks that a page has to give. */
export function sampleIsIn(page: usize): bool {
  return (load32(page, L.D_END) & L.END_SAMPLE) !== 0;
}

/** How many blocks of a batch a page may give before a sample: all, or at least one. */
// @cold
export function sampleBatch(page: usize, count: i32): u32 {
  if (left >= count) {
    left = left - count;
    return count;
  }
  const before: i32 = left > 0 ? left : 1;
  left = left - before + gapDraw();
  if (sampleIsIn(page)) due = due + 1;
  else store32(page, L.D_END, load32(page, L.D_END) + L.END_SAMPLE);
  return before;
}

/**
 * Cuts the free list, which has just been taken from the freed blocks, to what sampleBatch returns.
 */
// @cold
export function sampleCutFree(page: usize): void {
  const given: u32 = load32(page, L.D_FRESH) - load32(page, L.D_START);
  const count: u32 = ((given / load32(page, L.D_BLOCK)) >>> 0) - load32(page, L.D_USED);
  let more: u32 = sampleBatch(page, count);
  if (more === count) return;
  let last: usize = load32(page, L.D_FREE);
  for (more = more - 1; more !== 0; more--) last = load32(last, 0);
  store32(page, L.D_LOCAL, load32(last, 0));
  store32(last, 0, 0);
}

/** Blocks that a page was given and still has. */
// @cold
function unspent(page: usize): i32 {
  let count: u32 = pageCapacity(page) - load32(page, L.D_USED);
  for (let block: usize = load32(page, L.D_LOCAL); block !== 0; block = load32(block, 0)) {
    count = count - 1;
  }
  return count;
}

/** Uncounts the blocks of a page that is going. A sample that is pending in it comes next. */
// @cold
export function sampleGone(page: usize): void {
  if ((load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0) return;
  left = left + unspent(page);
  if (sampleIsIn(page)) due = due + 1;
}

/** Counts blocks that were freed and given again without the generic path. */
export function sampleWarm(count: u32): void {
  left = left - count;
}

/** Makes an empty page look new if a sample is late, so that malloc takes the generic path. */
// @cold
export function sampleRenew(page: usize): void {
  if (left > 0) return;
  const more: i32 = unspent(page);
  if (left + more > 0) return;
  left = left + more;
  const start: usize = load32(page, L.D_START);
  store32(page, L.D_FREE, 0);
  store32(page, L.D_LOCAL, 0);
  store32(page, L.D_FRESH, start);
  store32(page, L.D_FRESH_END, start);
  store32(page, L.D_ZERO, L.ZERO_UNKNOWN);
}

/** Reports the free of a block in guarded memory. */
// @cold
export function guardFree(p: usize): void {
  errorRaise(L.GUARD_FREED, p);
}

/** Bytes from p to the end of its guarded block; 0 when it is not in one. */
// @cold
export function guardSize(p: usize): usize {
  return hostAsk(L.GUARD_SIZE, p);
}
