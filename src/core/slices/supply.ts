/**
 * Where pages get slices and give them back: slices.ts or slices-shared.ts, with the heap's budget
 * and arena before that, commit in between and purge after it.
 *
 *   slices of the pages of a heap with H_LIMITED == held <= most
 *
 * Where threads share the state, a large page that another thread frees stays in `held` until the
 * heap reaches its budget and counts its pages again. So no thread writes to another thread's heap,
 * which may have ended and been replaced by a new one.
 */

import { bitIsSet, descOf } from "../layout/desc.ts";
import { heapBase, stateBase, threadId } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicAdd, SHARED } from "../target/atomics.ts";
import { load32, memoryZero, store32 } from "../target/glue.ts";
import { arenaClaim } from "./arena-runs.ts";
import { arenaOf } from "./arenas.ts";
import { pageSlicesAdd, slicesTake, slicesWereZero } from "./commit.ts";
import { purgeBefore } from "./purge.ts";
import { purgeAfter } from "./purge-schedule.ts";
import { slicesClaim, slicesExtend, slicesRelease } from "./slices.ts";

/**
 * Allocates a run of `count` slices for the bound heap, its first slice a multiple of `alignment`,
 * a power of two. 0 = out of memory, or over budget. slicesWereZero: whether the run is zero.
 */
export function slicesAlloc(count: u32, alignment: u32): u32 {
  const limited: bool = load32(heapBase, L.H_LIMITED) !== 0;
  if (limited && !budgetAllows(count)) return 0;
  const slice: u32 = limited ? claimLimited(count, alignment) : claimAny(count, alignment);
  if (slice === 0) return 0;
  if (!slicesTake(slice, count)) {
    slicesRelease(slice, count);
    return 0;
  }
  if (limited) store32(heapBase, L.H_HELD, load32(heapBase, L.H_HELD) + count);
  return slice;
}

function claimLimited(count: u32, alignment: u32): u32 {
  const record: usize = load32(heapBase, L.H_ARENA);
  return record !== 0 ? arenaClaim(record, count, alignment) : claimAny(count, alignment);
}

// @cold
function claimAny(count: u32, alignment: u32): u32 {
  return alignment > 1 ? claimAligned(count, alignment) : slicesClaim(count, true);
}

/** Claims more slices than needed and gives head and tail back, untouched. */
function claimAligned(count: u32, alignment: u32): u32 {
  const extra: u32 = alignment - 1;
  const from: u32 = slicesClaim(count + extra, true);
  if (from === 0) return 0;
  const slice: u32 = ((from + extra) & ~extra) >>> 0;
  const head: u32 = slice - from;
  if (head !== 0) slicesRelease(from, head);
  if (extra !== head) slicesRelease(slice + count, extra - head);
  return slice;
}

/**
 * Appends `more` slices to a page that ends at `end`; slicesWereZero: whether they are zero. If the
 * page's heap has a budget or an arena, only that heap may append.
 */
export function slicesAppend(owner: u32, end: u32, more: u32): bool {
  const limited: bool = isLimited(owner);
  if (limited && ((owner & ~L.FLAGS) >>> 0 !== heapBase || !budgetAllows(more))) return false;
  if (!slicesExtend(end, more)) return false;
  if (!slicesTake(end, more)) {
    slicesRelease(end, more);
    return false;
  }
  if (limited) store32(heapBase, L.H_HELD, load32(heapBase, L.H_HELD) + more);
  return true;
}

/** Gives slices of a page back; purges them now or later. */
export function slicesFree(owner: u32, slice: u32, count: u32): void {
  const purges: bool = load32(stateBase, L.S_PURGE_DELAY) !== 0;
  if (isLimited(owner)) heldDrop((owner & ~L.FLAGS) >>> 0, count);
  if (purges) purgeBefore(slice, count);
  slicesRelease(slice, count);
  if (purges) purgeAfter(slice, count);
}

/** Whether an owner word names a heap with a budget or an arena. */
function isLimited(owner: u32): bool {
  const heap: usize = (owner & ~L.FLAGS) >>> 0;
  return heap > L.OWNER_ABANDONED && load32(heap, L.H_LIMITED) !== 0;
}

function heldDrop(heap: usize, count: u32): void {
  if (SHARED && load32(heap, L.H_STATE) >>> 2 !== threadId) return;
  store32(heap, L.H_HELD, load32(heap, L.H_HELD) - count);
}

/** Whether the bound heap may have `count` slices more. */
// @cold
function budgetAllows(count: u32): bool {
  const most: u32 = load32(heapBase, L.H_MOST);
  if (most === 0 || load32(heapBase, L.H_HELD) + count <= most) return true;
  if (!SHARED) return false;
  store32(heapBase, L.H_HELD, heldCount());
  return load32(heapBase, L.H_HELD) + count <= most;
}

/** Number of slices of the bound heap's pages. O(slices). */
function heldCount(): u32 {
  const top: u32 = load32(stateBase, L.S_TOP);
  let held: u32 = 0;
  for (let slice: u32 = 0; slice < top; slice++) {
    if (!bitIsSet(stateBase + L.STATE_STARTS, slice)) continue;
    const page: usize = descOf(slice);
    if ((load32(page, L.D_OWNER) & ~L.FLAGS) >>> 0 === heapBase)
      held = held + load32(page, L.D_SLICES);
  }
  return held;
}

/**
 * Gives a new heap a budget of `most` slices (0 = none) and an arena to allocate from (0 = none);
 * false when no arena has this id.
 */
export function heapLimit(heap: usize, most: u32, arena: u32): bool {
  const record: usize = arena !== 0 ? arenaOf(arena) : 0;
  if (arena !== 0 && record === 0) return false;
  store32(heap, L.H_MOST, most);
  store32(heap, L.H_ARENA, record);
  store32(heap, L.H_LIMITED, 1);
  return true;
}

/** Returns a slice of zeros for tables, which is never given back; 0 = out of memory. */
// @cold
export function tableSliceAlloc(): usize {
  const slice: u32 = slicesClaim(1, false);
  if (slice === 0) return 0;
  if (!slicesTake(slice, 1)) {
    slicesRelease(slice, 1);
    return 0;
  }
  const table: usize = (slice << L.SLICE_SHIFT) >>> 0;
  if (!slicesWereZero) memoryZero(table, L.SLICE_SIZE);
  if (SHARED) store32(descOf(slice), L.D_BIN, L.BIN_TABLE);
  pageSlicesAdd(0xffffffff);
  atomicAdd(stateBase, L.S_TABLE_SLICES, 1);
  return table;
}
