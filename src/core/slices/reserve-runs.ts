/** Runs of slices in reserves: claimed by threads that may, given back by anybody. */

import {
  A_TOP,
  EAGAIN,
  NODE_ANY,
  R_COUNT,
  R_FIRST,
  R_FLAGS,
  R_NODE,
  RESERVE_EXCLUSIVE,
  SLICE_SHIFT,
} from "../layout/layout.ts";
import { arenaBase, numaNode } from "../layout/state.ts";
import { errorRaise, load32, memoryReach } from "../target/glue.ts";
import { pageSlicesAdd } from "./commit.ts";
import { reserveAt, reserveBits, reserveCount, reserveRecord } from "./reserves.ts";
import { runClaim, runFind, runIsFree, runPut } from "./runs.ts";

/** A run of a reserve, its first slice a multiple of `alignment`; 0 = there is none. */
export function reserveClaim(record: usize, count: u32, alignment: u32): u32 {
  const first: u32 = load32(record, R_FIRST);
  const end: u32 = first + load32(record, R_COUNT);
  const extra: u32 = alignment - 1;
  let found: u32 = runFind(reserveBits(), first, end, count + extra);
  while (found !== 0) {
    const slice: u32 = ((found + extra) & ~extra) >>> 0;
    if (runClaim(reserveBits(), slice, count)) {
      memoryReach(load32(arenaBase, A_TOP));
      pageSlicesAdd(count);
      return slice;
    }
    found = runFind(reserveBits(), first, end, count + extra);
  }
  return 0;
}

/** A run of a reserve that is everybody's: of this thread's NUMA node, else of another; or 0. */
export function reservesClaim(count: u32): u32 {
  const near: u32 = claimFrom(count, true);
  return near !== 0 || numaNode === NODE_ANY ? near : claimFrom(count, false);
}

// @cold
function claimFrom(count: u32, near: bool): u32 {
  const reserves: u32 = reserveCount();
  for (let i: u32 = 0; i < reserves; i++) {
    const record: usize = reserveRecord(i);
    const shut: bool = (load32(record, R_FLAGS) & RESERVE_EXCLUSIVE) !== 0;
    if (shut || reserveIsNear(record) !== near) continue;
    const slice: u32 = reserveClaim(record, count, 1);
    if (slice !== 0) return slice;
  }
  return 0;
}

function reserveIsNear(record: usize): bool {
  const node: u32 = load32(record, R_NODE);
  return numaNode === NODE_ANY || node === NODE_ANY || node === numaNode;
}

/**
 * Makes slices free if they are of a reserve; whether they are. Slices that are free already are
 * reported, and change nothing.
 */
export function reservePut(slice: u32, count: u32): bool {
  if (reserveAt(slice) === 0) return false;
  const put: u32 = runPut(reserveBits(), slice, count);
  pageSlicesAdd((0 - put) >>> 0);
  if (put !== count) errorRaise(EAGAIN, (count << SLICE_SHIFT) >>> 0);
  return true;
}

/** Appends `more` slices to a run that ends at `end` in a reserve. */
export function reserveExtend(record: usize, end: u32, more: u32): bool {
  if (end + more > load32(record, R_FIRST) + load32(record, R_COUNT)) return false;
  if (!runClaim(reserveBits(), end, more)) return false;
  memoryReach(load32(arenaBase, A_TOP));
  pageSlicesAdd(more);
  return true;
}

/** Whether a slice is free in a reserve. */
export function reserveIsFree(slice: u32): bool {
  return reserveBits() !== 0 && runIsFree(reserveBits(), slice);
}
