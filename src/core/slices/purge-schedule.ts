/**
 * The schedule of purges: the tick at which the free slices of a chunk are given back (purge.ts).
 *
 * Each chunk of 512 slices (32 MiB, as a segment of mimalloc) has a tick at which all its free and
 * dirty slices are purged:
 *
 *   first free            now + delay
 *   another free          `extend` ticks later, and at most 2 * delay after the first one
 *   reuse of such slices  now + delay, with the same bound
 *
 * The bound differs from mimalloc, where a program that frees often enough is never purged.
 *
 * An arena has a plan like a chunk, with S_PURGE_MULT times the delay, of which another free adds a
 * tenth.
 *
 *   next <= the earliest tick of all plans, or 0 when none is planned
 */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicCas, atomicLoad, atomicStore } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";
import { arenaAt } from "./arenas.ts";

export const DELAY_NEVER: u32 = 0xffffffff;

/** Whether a tick has passed, also after the tick counter has wrapped at 2^32. */
export function tickCame(tick: u32): bool {
  return (load32(stateBase, L.S_TICK) - tick) >>> 0 < 0x80000000;
}

/** Address of the plan of a chunk. */
export function planOf(chunk: u32): usize {
  return stateBase + L.STATE_PURGE + (chunk << L.PURGE_SHIFT);
}

/** Ticks until the purge of free slices: longer in an arena, DELAY_NEVER in a pinned one. */
// @cold
export function delayOf(record: usize): u32 {
  const delay: u32 = load32(stateBase, L.S_PURGE_DELAY) - 1;
  if (record === 0) return delay;
  if ((load32(record, L.A_FLAGS) & L.ARENA_PINNED) !== 0) return DELAY_NEVER;
  return delay * load32(stateBase, L.S_PURGE_MULT);
}

/** The arena of a slice, or 0. */
// @cold
export function arenaOfSlice(slice: u32): usize {
  return load32(stateBase, L.S_ARENAS) !== 0 ? arenaAt(slice) : 0;
}

/** Plans the purge of slices that have become free. Only while purges are on. */
export function purgeAfter(slice: u32, count: u32): void {
  const record: usize = arenaOfSlice(slice);
  const delay: u32 = delayOf(record);
  if (delay === 0 || delay === DELAY_NEVER) return;
  if (record !== 0) {
    planExtend(record + L.A_PLAN, delay, (delay / 10) >>> 0);
    return;
  }
  const last: u32 = (slice + count - 1) >>> L.CHUNK_SHIFT;
  for (let chunk: u32 = slice >>> L.CHUNK_SHIFT; chunk <= last; chunk++) {
    planExtend(planOf(chunk), delay, load32(stateBase, L.S_PURGE_EXTEND));
  }
}

/** Postpones a purge, since slices that were to be purged are in use again. */
export function purgeRearm(slice: u32): void {
  const record: usize = arenaOfSlice(slice);
  const plan: usize = record !== 0 ? record + L.A_PLAN : planOf(slice >>> L.CHUNK_SHIFT);
  if (atomicLoad(plan, 0) !== 0) planMove(plan, load32(stateBase, L.S_TICK) + delayOf(record));
}

// @cold
function planExtend(plan: usize, delay: u32, extend: u32): void {
  const tick: u32 = atomicLoad(plan, 0);
  if (tick !== 0) {
    planMove(plan, tick + extend);
    return;
  }
  const now: u32 = load32(stateBase, L.S_TICK);
  atomicStore(plan, L.PURGE_LIMIT, now + 2 * delay);
  planMove(plan, now + delay);
}

/** Plans a purge for a tick, or for the limit if that is earlier. */
// @cold
function planMove(plan: usize, tick: u32): void {
  const limit: u32 = atomicLoad(plan, L.PURGE_LIMIT);
  const at: u32 = (limit - tick) >>> 0 < 0x80000000 ? tick : limit;
  atomicStore(plan, 0, at !== 0 ? at : 1);
  nextLower(at);
}

/** Sets the next tick at which a purge may be due, unless an earlier one is set. */
// @cold
function nextLower(tick: u32): void {
  let next: u32 = atomicLoad(stateBase, L.S_PURGE_NEXT);
  while (next === 0 || (next - tick - 1) >>> 0 < 0x80000000) {
    if (atomicCas(stateBase, L.S_PURGE_NEXT, next, tick !== 0 ? tick : 1)) return;
    next = atomicLoad(stateBase, L.S_PURGE_NEXT);
  }
}

/** Whether the slices of a plan are purged now; if so, clears the plan. */
export function planTake(plan: usize, all: bool): bool {
  const tick: u32 = atomicLoad(plan, 0);
  if (tick !== 0 && (all || tickCame(tick))) {
    atomicStore(plan, 0, 0);
    return true;
  }
  if (tick !== 0) nextLower(tick);
  return all;
}
