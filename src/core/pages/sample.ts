/**
 * One allocation in so many that the host may serve itself: with a block that lies beside guard
 * pages. malloc's fast path gains no instruction by it. Where blocks of small pages are given out
 * in batches, on the generic path, the batch is counted as a whole; one that holds the next sample
 * is cut in front of it, so that the page runs empty there and comes to the generic path again:
 *
 *   left: allocations before the next sample that no page has been given blocks for yet
 *
 *   batch of 12, left 4   | 4 blocks | . . . . . . . . |  the rest goes back where it came from;
 *                                    ^ sample             the page is marked: END_SAMPLE in D_END
 *
 * A block that is freed and given again without the generic path is counted at a heartbeat, and one
 * that was given to a page and goes with it was none: blocks given + blocks again == allocations +
 * blocks that pages still have. So as many are samples as should, whatever the program does; but
 * not always those that a count one by one would choose.
 *
 * Medium and large sizes are counted one by one, and so is everything in the mode OBSERVE_EACH, in
 * which no allocation takes the fast path. Gaps are uniform from 1 to 2 every - 1, as in GWP-ASan
 * (LLVM): a pattern of the program does not hide from them.
 *
 * Guarded blocks lie in a large page whose descriptor leads to a table of them, so that the slow
 * path of every thread's free tells them from others.
 */
import { heapIsBacking } from "../layout/bound-heap.ts";
import { pageCapacity } from "../layout/desc.ts";
import * as L from "../layout/layout.ts";
import { errorRaise, load32, mul32, store32 } from "../target/glue.ts";

/** The block that the host gave last: its contents are the host's, and its size is exact. */
export let sampled: usize = 0;
let every: u32 = 1;
/** State of the generator of gaps: linear congruential (Numerical Recipes). */
let random: u32 = 1;
/** Negative: the sample is late by so many. */
let left: i32 = 0;
/** Samples that waited in pages which are gone. */
let due: u32 = 0;
let held: bool = false;
/** Of the allocation that is under way: its alignment and, unless 0, its size without any slack. */
let alignment: u32 = 1;
let exact: u32 = 0;
let result: u32 = 0;

/** Begins to count; observeBind says how. `each`: 1 to 2^30, for OBSERVE_SOME at least 2. */
export function sampleBegin(each: u32, seed: u32): void {
  every = each;
  random = seed;
  sampled = 0;
  due = 0;
  left = gapDraw();
}

/** The alignment that the allocation needs which the host is asked about; 1 = only malloc's. */
export function sampleAlignment(): u32 {
  return alignment;
}

/** The host's answer to SAMPLE_DUE, a block or 0, and to GUARD_SIZE. */
export function sampleResult(value: u32): void {
  result = value;
}

/** Allocations between two samples: 0 to 2 every - 2. */
function gapDraw(): i32 {
  random = (mul32(random, 1664525) + 1013904223) >>> 0;
  return random % (2 * every - 1);
}

/** No allocation is a sample, nor counted; answers whether that was so before. */
export function sampleHold(hold: bool): bool {
  const was: bool = held;
  held = hold;
  return was;
}

/** What malloc is asked for now is a part of: so many bytes at an alignment; 1, 0: of nothing. */
export function sampleWithin(to: u32, size: u32): void {
  alignment = to;
  exact = size;
}

/** Counts an allocation; whether it is the sample. */
export function sampleCount(): bool {
  if (held) return false;
  if (left > 0) {
    left = left - 1;
    return false;
  }
  left = left + gapDraw();
  return true;
}

/** The host's block for an allocation that is a sample; 0 = it has none. */
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
 * On the generic path, since the first page of the queue has nothing to give: the host's block, if
 * this allocation is a sample.
 */
// @cold
export function sampleGeneric(first: usize, size: u32): usize {
  let block: usize = 0;
  while (block === 0 && !held && sampleIsDue(first)) block = sampleTake(size);
  return block;
}

/** Takes what is due off the count: after a time without the generic path it may be several. */
function sampleIsDue(first: usize): bool {
  if (left > 0 && due === 0) return pageMarkTake(first);
  if (left <= 0) left = left + gapDraw();
  else due = due - 1;
  return true;
}

/**
 * Whether a page is empty up to its mark, which is gone then. Sizes that get fresh blocks last have
 * it behind the free list.
 */
function pageMarkTake(page: usize): bool {
  if (page === 0 || !sampleIsIn(page) || load32(page, L.D_FREE) !== 0) return false;
  const fresh: bool = load32(page, L.D_FRESH) !== load32(page, L.D_FRESH_END);
  if (fresh && load32(page, L.D_BLOCK) <= L.DIRECT_MAX) return false;
  store32(page, L.D_END, load32(page, L.D_END) - L.END_SAMPLE);
  return true;
}

/** Whether a sample waits behind the blocks that a page has to give. */
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

/** The free list, which has just been taken from the freed blocks, gives what sampleBatch says. */
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

/** A page goes: what it was given is not, and a sample that waits in it comes next. */
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

/** Sends an empty page to the generic path if a sample is late: as if it had just been made. */
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

/** A block among guards is freed: the host knows which. */
// @cold
export function guardFree(p: usize): void {
  errorRaise(L.GUARD_FREED, p);
}

/** Bytes from p to the end of its block among guards; 0 when it is in none. */
// @cold
export function guardSize(p: usize): usize {
  return hostAsk(L.GUARD_SIZE, p);
}
