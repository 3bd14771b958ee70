/**
 * Runs of slices in arenas. Threads that may use the arena claim them; any thread gives them back.
 */

import { numaNode, stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { errorRaise, load32, memoryReach } from "../target/glue.ts";
import { arenaAt, arenaBits, arenaCount, arenaRecord } from "./arenas.ts";
import { pageSlicesAdd } from "./commit.ts";
import { runClaim, runFind, runIsFree, runPut } from "./runs.ts";

/** Claims a run of an arena, its first slice a multiple of `alignment`; 0 = there is none. */
export function arenaClaim(record: usize, count: u32, alignment: u32): u32 {
  const first: u32 = load32(record, L.A_FIRST);
  const end: u32 = first + load32(record, L.A_COUNT);
  const extra: u32 = alignment - 1;
  let found: u32 = runFind(arenaBits(), first, end, count + extra);
  while (found !== 0) {
    const slice: u32 = ((found + extra) & ~extra) >>> 0;
    if (runClaim(arenaBits(), slice, count)) {
      memoryReach(load32(stateBase, L.S_TOP));
      pageSlicesAdd(count);
      return slice;
    }
    found = runFind(arenaBits(), first, end, count + extra);
  }
  return 0;
}

/** Claims a run of an arena that is not exclusive, of this thread's NUMA node if possible; or 0. */
export function arenasClaim(count: u32): u32 {
  const near: u32 = claimFrom(count, true);
  return near !== 0 || numaNode === L.NODE_ANY ? near : claimFrom(count, false);
}

// @cold
function claimFrom(count: u32, near: bool): u32 {
  const arenas: u32 = arenaCount();
  for (let i: u32 = 0; i < arenas; i++) {
    const record: usize = arenaRecord(i);
    const shut: bool = (load32(record, L.A_FLAGS) & L.ARENA_EXCLUSIVE) !== 0;
    if (shut || arenaIsNear(record) !== near) continue;
    const slice: u32 = arenaClaim(record, count, 1);
    if (slice !== 0) return slice;
  }
  return 0;
}

function arenaIsNear(record: usize): bool {
  const node: u32 = load32(record, L.A_NODE);
  return numaNode === L.NODE_ANY || node === L.NODE_ANY || node === numaNode;
}

/**
 * Frees slices if they are in an arena; returns whether they are. Slices that are free already are
 * reported and do not change.
 */
export function arenaPut(slice: u32, count: u32): bool {
  if (arenaAt(slice) === 0) return false;
  const put: u32 = runPut(arenaBits(), slice, count);
  pageSlicesAdd((0 - put) >>> 0);
  if (put !== count) errorRaise(L.EAGAIN, (count << L.SLICE_SHIFT) >>> 0);
  return true;
}

/** Appends `more` slices to a run of an arena that ends at `end`. */
export function arenaExtend(record: usize, end: u32, more: u32): bool {
  if (end + more > load32(record, L.A_FIRST) + load32(record, L.A_COUNT)) return false;
  if (!runClaim(arenaBits(), end, more)) return false;
  memoryReach(load32(stateBase, L.S_TOP));
  pageSlicesAdd(more);
  return true;
}

/** Whether a slice is free in an arena. */
export function arenaIsFree(slice: u32): bool {
  return arenaBits() !== 0 && runIsFree(arenaBits(), slice);
}
