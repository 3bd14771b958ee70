/**
 * Where pages get their slices from and where they give them back: slices.ts or slices-shared.ts,
 * with commit before and purge after.
 */
import { slicesTake } from "./commit.ts";
import { load32 } from "./glue.ts";
import { A_PURGE_DELAY } from "./layout.ts";
import { purgeAfter } from "./plan.ts";
import { purgeBefore } from "./purge.ts";
import { slicesClaim, slicesExtend, slicesRelease } from "./slices.ts";
import { arenaBase } from "./state.ts";

/**
 * A run of `count` slices whose first is a multiple of `alignment`, a power of two; 0 = out of
 * memory. slicesWereZero tells whether it is zero.
 */
export function slicesAlloc(count: u32, alignment: u32): u32 {
  const slice: u32 = alignment > 1 ? claimAligned(count, alignment) : slicesClaim(count);
  if (slice === 0 || slicesTake(slice, count)) return slice;
  slicesRelease(slice, count);
  return 0;
}

/** Claims more than needed and gives head and tail back, which were never touched. */
function claimAligned(count: u32, alignment: u32): u32 {
  const extra: u32 = alignment - 1;
  const from: u32 = slicesClaim(count + extra);
  if (from === 0) return 0;
  const slice: u32 = ((from + extra) & ~extra) >>> 0;
  const head: u32 = slice - from;
  if (head !== 0) slicesRelease(from, head);
  if (extra !== head) slicesRelease(slice + count, extra - head);
  return slice;
}

/** Appends `more` slices to a run that ends at `end`; slicesWereZero tells of these. */
export function slicesAppend(end: u32, more: u32): bool {
  if (!slicesExtend(end, more)) return false;
  if (slicesTake(end, more)) return true;
  slicesRelease(end, more);
  return false;
}

/** Gives slices back, now or later also to the source. */
export function slicesFree(slice: u32, count: u32): void {
  const purges: bool = load32(arenaBase, A_PURGE_DELAY) !== 0;
  if (purges) purgeBefore(slice, count);
  slicesRelease(slice, count);
  if (purges) purgeAfter(slice, count);
}
