/**
 * When free slices are given back: after a delay that is counted in ticks, not in time. mimalloc
 * reads a clock in malloc and free, which takes half of the time for large blocks in wasm. Here a
 * tick is TICK_BEATS passes of the generic path, or a call of the host's timer.
 *
 * One thread purges at a time, the one that took S_PURGE_NEXT; if it is terminated meanwhile, the
 * next free plans again. Slices that are being purged are claimed like those of a page, so no other
 * thread takes them.
 */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicAdd, atomicCas, atomicLoad, atomicStore } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";
import { arenaBits, arenaCount, arenaRecord } from "./arenas.ts";
import { rangePurge } from "./commit.ts";
import {
  arenaOfSlice,
  DELAY_NEVER,
  delayOf,
  planOf,
  planTake,
  tickCame,
} from "./purge-schedule.ts";
import { runsPurge } from "./runs.ts";
import { slicesPurge } from "./slices.ts";

/**
 * Sets when and how free slices are purged: delays in ticks, 0 = at once, 0xffffffff = never; `how`
 * is one of PAGES_*.
 */
export function purgeSet(delay: u32, extend: u32, mult: u32, how: u32): void {
  atomicStore(stateBase, L.S_PURGE_HOW, how);
  atomicStore(stateBase, L.S_PURGE_EXTEND, extend);
  atomicStore(stateBase, L.S_PURGE_MULT, mult);
  atomicStore(stateBase, L.S_PURGE_DELAY, (delay + 1) >>> 0);
}

/** Purges slices that are about to become free, if purges are not delayed. */
export function purgeBefore(slice: u32, count: u32): void {
  if (delayOf(arenaOfSlice(slice)) === 0) rangePurge(slice, count);
}

/** Counts a tick and purges what is due. */
export function purgeTick(): void {
  atomicAdd(stateBase, L.S_TICK, 1);
  const next: u32 = atomicLoad(stateBase, L.S_PURGE_NEXT);
  if (next === 0 || !tickCame(next)) return;
  if (atomicCas(stateBase, L.S_PURGE_NEXT, next, 0)) purgePass(false);
}

/** A tick of the host's timer. With `force` all free slices are purged, unless purging is off. */
export function purge(force: bool): void {
  purgeTick();
  if (force && load32(stateBase, L.S_PURGE_DELAY) !== 0) purgePass(true);
}

/** Purges the chunks and arenas whose tick has passed, or all. */
// @cold
function purgePass(all: bool): void {
  const last: u32 = (atomicLoad(stateBase, L.S_TOP) - 1) >>> L.CHUNK_SHIFT;
  for (let chunk: u32 = 0; chunk <= last; chunk++) {
    if (!planTake(planOf(chunk), all)) continue;
    slicesPurge(chunk << L.CHUNK_SHIFT, (chunk << L.CHUNK_SHIFT) + L.CHUNK_SLICES);
  }
  const arenas: u32 = arenaCount();
  for (let i: u32 = 0; i < arenas; i++) {
    const record: usize = arenaRecord(i);
    if (delayOf(record) === DELAY_NEVER || !planTake(record + L.A_PLAN, all)) continue;
    const first: u32 = load32(record, L.A_FIRST);
    runsPurge(arenaBits(), first, first + load32(record, L.A_COUNT));
  }
}
