/**
 * When free slices are given back: after a delay, counted in ticks and not in time. mimalloc reads
 * a clock in malloc and free, which costs it half of its time on large blocks in wasm. Here a tick
 * is TICK_BEATS passes of the generic path, or a call of the host's timer.
 *
 * One thread purges at a time, the one that took `next` of the plan; should it be terminated
 * meanwhile, the next free plans anew. Slices that are just being purged are claimed like those of
 * a page, so nobody can take them.
 */

import {
  A_PURGE_DELAY,
  A_PURGE_EXTEND,
  A_PURGE_HOW,
  A_PURGE_MULT,
  A_PURGE_NEXT,
  A_TICK,
  A_TOP,
  CHUNK_SHIFT,
  CHUNK_SLICES,
  R_COUNT,
  R_FIRST,
  R_PLAN,
} from "../layout/layout.ts";
import { arenaBase } from "../layout/state.ts";
import { atomicAdd, atomicCas, atomicLoad, atomicStore } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";
import { rangePurge } from "./commit.ts";
import {
  DELAY_NEVER,
  delayOf,
  planOf,
  planTake,
  reserveOfSlice,
  tickCame,
} from "./purge-schedule.ts";
import { reserveBits, reserveCount, reserveRecord } from "./reserves.ts";
import { runsPurge } from "./runs.ts";
import { slicesPurge } from "./slices.ts";

/**
 * Settles when and how free slices are purged: delays in ticks, 0 = at once, 0xffffffff = never;
 * `how` is one of PAGES_*.
 */
export function purgeSet(delay: u32, extend: u32, mult: u32, how: u32): void {
  atomicStore(arenaBase, A_PURGE_HOW, how);
  atomicStore(arenaBase, A_PURGE_EXTEND, extend);
  atomicStore(arenaBase, A_PURGE_MULT, mult);
  atomicStore(arenaBase, A_PURGE_DELAY, (delay + 1) >>> 0);
}

/** Before slices become free: purges them if purges do not wait. */
export function purgeBefore(slice: u32, count: u32): void {
  if (delayOf(reserveOfSlice(slice)) === 0) rangePurge(slice, count);
}

/** A tick goes by; what is due now is purged. */
export function purgeTick(): void {
  atomicAdd(arenaBase, A_TICK, 1);
  const next: u32 = atomicLoad(arenaBase, A_PURGE_NEXT);
  if (next === 0 || !tickCame(next)) return;
  if (atomicCas(arenaBase, A_PURGE_NEXT, next, 0)) purgePass(false);
}

/** A tick of the host's timer; with `force` everything that is free is purged, unless never. */
export function purge(force: bool): void {
  purgeTick();
  if (force && load32(arenaBase, A_PURGE_DELAY) !== 0) purgePass(true);
}

/** Purges the chunks and reserves whose tick has come, or all. */
// @cold
function purgePass(all: bool): void {
  const last: u32 = (atomicLoad(arenaBase, A_TOP) - 1) >>> CHUNK_SHIFT;
  for (let chunk: u32 = 0; chunk <= last; chunk++) {
    if (!planTake(planOf(chunk), all)) continue;
    slicesPurge(chunk << CHUNK_SHIFT, (chunk << CHUNK_SHIFT) + CHUNK_SLICES);
  }
  const reserves: u32 = reserveCount();
  for (let i: u32 = 0; i < reserves; i++) {
    const record: usize = reserveRecord(i);
    if (delayOf(record) === DELAY_NEVER || !planTake(record + R_PLAN, all)) continue;
    const first: u32 = load32(record, R_FIRST);
    runsPurge(reserveBits(), first, first + load32(record, R_COUNT));
  }
}
