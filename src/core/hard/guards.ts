/**
 * Guard pages: a large block ends with inaccessible pages, so that a write far behind it traps.
 * They lie in the slices of the block's own run; the cost is up to a slice for each block.
 *
 *   | the block, with its record | guard: at least one page |
 *   start                        page end                   start + slices
 */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32 } from "../target/glue.ts";
import { hostProtect } from "../target/glue-hard.ts";
import { featureOn } from "./features.ts";

/** Bytes of a page of the source; 0 = large blocks have no guard. */
export function guardBytes(): u32 {
  return featureOn(L.HARD_GUARD_PAGES) ? load32(stateBase, L.S_GUARD) : 0;
}

/** Bytes of a large block in a run of `count` slices that ends with a guard. */
export function guardedSize(size: u32, count: u32): u32 {
  const guard: u32 = guardBytes();
  if (guard === 0) return (count << L.SLICE_SHIFT) >>> 0;
  const some: u32 = size === 0 ? 1 : size;
  return ((some + (guard - 1)) & ~(guard - 1)) >>> 0;
}

function guardSet(page: usize, on: bool): void {
  const end: usize = load32(page, L.D_END);
  const left: usize =
    load32(page, L.D_START) + ((load32(page, L.D_SLICES) << L.SLICE_SHIFT) >>> 0) - end;
  if (left !== 0) hostProtect(end, left, on);
}

export function guardRaise(page: usize): void {
  if (guardBytes() !== 0) guardSet(page, true);
}

/** Makes the guard accessible before the slices of a page, of any kind, are given back. */
export function guardLift(page: usize): void {
  if (guardBytes() !== 0 && (load32(page, L.D_OWNER) & L.FLAG_LARGE) !== 0) guardSet(page, false);
}
