/**
 * Medium pages: 128 KiB in 64 units of 2 KiB. A block of more than 8 KiB takes a run of units; two
 * bitmaps mark the free units and the units at which blocks begin.
 *
 * mimalloc has pages of equal blocks instead. But between 8 and 64 KiB programs use many sizes and
 * few blocks of each, so pages of one size would stand mostly empty, and a buffer that is allocated
 * and freed repeatedly would keep memory from all other sizes: on the git trace the peak was 1.46
 * bytes for each live byte, now 1.25. The cost is a search in a bitmap, 10 to 20 ns.
 *
 *   free units   1110000000000111...   (64 bits: low word, high word)
 *   bounds       1001000010000100...   a block or a run of free units begins here
 *
 *   units of blocks + free units == 64;  |bounds of units in use| == used
 *
 * A block reaches to the next bound. While it lives, neither its two bounds nor the zeros between
 * them change, whatever happens to the blocks beside it, so any thread may read its size.
 *
 * A page is in the queue of an upper bound of its longest free run (4 to 32 units). A failed search
 * lowers the bound and a free raises it, so searches visit a page at most once in vain.
 */

import * as L from "../layout/layout.ts";
import { countAdd } from "../slices/counts.ts";
import { slicesAlloc } from "../slices/supply.ts";
import { leadingZeros, load32, store32, trailingZeros } from "../target/glue.ts";
import { pageClaim, pagePublish, pageRelease, pageRetire } from "./page.ts";
import { queueMove, queueMoveBack, queueOf, queuePush } from "./queue.ts";

/** The most empty pages that are kept. */
const EMPTY_MOST: u32 = 2;

/**
 * Whether the block that was taken last has never been written; for zalloc, which reads it at once.
 */
export let mediumTookZero: bool = false;

export function unitsFor(size: u32): u32 {
  return (size + (L.UNIT_SIZE - 1)) >>> L.UNIT_SHIFT;
}

/** First unit of a run of `count` ones in a pair of words, or MEDIUM_UNITS. */
function runFind(low: u32, high: u32, count: u32): u32 {
  let lo: u32 = low;
  let hi: u32 = high;
  let length: u32 = 1;
  while (length < count) {
    const more: u32 = count - length < length ? count - length : length;
    lo = (lo & ((lo >>> more) | (hi << (32 - more)))) >>> 0;
    hi = (hi & (hi >>> more)) >>> 0;
    length = length + more;
  }
  if (lo !== 0) return trailingZeros(lo);
  return hi !== 0 ? 32 + trailingZeros(hi) : L.MEDIUM_UNITS;
}

/** The first unit behind `unit` whose bit is set, or MEDIUM_UNITS. */
function unitAfter(low: u32, high: u32, unit: u32): u32 {
  if (unit < 31) {
    const rest: u32 = low >>> (unit + 1);
    if (rest !== 0) return unit + 1 + trailingZeros(rest);
  }
  if (unit < 32) return high !== 0 ? 32 + trailingZeros(high) : L.MEDIUM_UNITS;
  const rest: u32 = unit === 63 ? 0 : high >>> (unit - 31);
  return rest !== 0 ? unit + 1 + trailingZeros(rest) : L.MEDIUM_UNITS;
}

/** One more than the last unit at or below `unit` whose bit is set, or 0. */
function unitUpTo(low: u32, high: u32, unit: u32): u32 {
  if (unit >= 32) {
    const head: u32 = (high & (0xffffffff >>> (63 - unit))) >>> 0;
    if (head !== 0) return 64 - leadingZeros(head);
    return low !== 0 ? 32 - leadingZeros(low) : 0;
  }
  const head: u32 = (low & (0xffffffff >>> (31 - unit))) >>> 0;
  return head !== 0 ? 32 - leadingZeros(head) : 0;
}

/** As bitsMask, but inlined: every medium malloc and free calls it. */
function unitsMask(unit: u32, count: u32): u32 {
  const left: u32 = 32 - unit;
  if (count >= left) return (0xffffffff << unit) >>> 0;
  return (((1 << count) - 1) << unit) >>> 0;
}

/** The bits of units [unit, unit + count) in the low and in the high word. */
function maskLow(unit: u32, count: u32): u32 {
  return unit < 32 ? unitsMask(unit, count) : 0;
}

function maskHigh(unit: u32, count: u32): u32 {
  const end: u32 = unit + count;
  if (end <= 32) return 0;
  return unit > 32 ? unitsMask(unit - 32, count) : unitsMask(0, end - 32);
}

function unitsOccupy(page: usize, unit: u32, count: u32): void {
  store32(page, L.D_FREE_LOW, (load32(page, L.D_FREE_LOW) & ~maskLow(unit, count)) >>> 0);
  store32(page, L.D_FREE_HIGH, (load32(page, L.D_FREE_HIGH) & ~maskHigh(unit, count)) >>> 0);
}

function unitsRelease(page: usize, unit: u32, count: u32): void {
  store32(page, L.D_FREE_LOW, (load32(page, L.D_FREE_LOW) | maskLow(unit, count)) >>> 0);
  store32(page, L.D_FREE_HIGH, (load32(page, L.D_FREE_HIGH) | maskHigh(unit, count)) >>> 0);
}

/** Marks that a block or a free run begins at a unit. The end of the page needs no mark. */
function boundSet(page: usize, unit: u32): void {
  if (unit === L.MEDIUM_UNITS) return;
  const field: u32 = unit < 32 ? L.D_BOUNDS_LOW : L.D_BOUNDS_HIGH;
  store32(page, field, (load32(page, field) | (1 << (unit & 31))) >>> 0);
}

function boundClear(page: usize, unit: u32): void {
  const field: u32 = unit < 32 ? L.D_BOUNDS_LOW : L.D_BOUNDS_HIGH;
  store32(page, field, (load32(page, field) & ~(1 << (unit & 31))) >>> 0);
}

function boundIsSet(page: usize, unit: u32): bool {
  const field: u32 = unit < 32 ? L.D_BOUNDS_LOW : L.D_BOUNDS_HIGH;
  return ((load32(page, field) >>> (unit & 31)) & 1) !== 0;
}

function unitIsFree(page: usize, unit: u32): bool {
  const field: u32 = unit < 32 ? L.D_FREE_LOW : L.D_FREE_HIGH;
  return ((load32(page, field) >>> (unit & 31)) & 1) !== 0;
}

/** Joins units that have just become free with a free run behind them. */
function boundJoin(page: usize, unit: u32): void {
  if (unit < L.MEDIUM_UNITS && unitIsFree(page, unit)) boundClear(page, unit);
}

function unitOf(page: usize, p: usize): u32 {
  return (p - load32(page, L.D_START)) >>> L.UNIT_SHIFT;
}

/** Units of the block that begins at a unit. */
function unitsAt(page: usize, unit: u32): u32 {
  return unitAfter(load32(page, L.D_BOUNDS_LOW), load32(page, L.D_BOUNDS_HIGH), unit) - unit;
}

/** Returns a block of more than SMALL_MAX bytes from an existing page; 0 when none has space. */
// @cold
export function mediumAlloc(size: u32): usize {
  const units: u32 = unitsFor(size);
  for (let bound: u32 = units; bound <= L.MEDIUM_RUN_MAX; bound++) {
    const queue: usize = queueOf(L.BIN_MEDIUM + bound);
    let page: usize = load32(queue, L.Q_FIRST);
    while (page !== 0) {
      const unit: u32 = runFind(load32(page, L.D_FREE_LOW), load32(page, L.D_FREE_HIGH), units);
      if (unit !== L.MEDIUM_UNITS) return mediumTake(page, unit, units);
      queueMove(page, L.BIN_MEDIUM + units - 1);
      page = load32(queue, L.Q_FIRST);
    }
  }
  return 0;
}

/** As mediumAlloc from a new page; 0 = out of memory. */
export function mediumAllocFresh(size: u32): usize {
  const slice: u32 = slicesAlloc(L.MEDIUM_SLICES, 1);
  if (slice === 0) return 0;
  const start: usize = (slice << L.SLICE_SHIFT) >>> 0;
  const page: usize = pageClaim(slice, L.MEDIUM_SLICES, L.UNIT_SIZE, start);
  store32(page, L.D_FRESH_END, start + (L.MEDIUM_SLICES << L.SLICE_SHIFT));
  store32(page, L.D_FREE_LOW, 0xffffffff);
  store32(page, L.D_FREE_HIGH, 0xffffffff);
  store32(page, L.D_BOUNDS_LOW, 1);
  store32(page, L.D_BOUNDS_HIGH, 0);
  store32(page, L.D_BIN, L.BIN_MEDIUM + L.MEDIUM_RUN_MAX);
  pagePublish(page, L.FLAG_MEDIUM);
  queuePush(page);
  return mediumTake(page, 0, unitsFor(size));
}

function mediumTake(page: usize, unit: u32, units: u32): usize {
  const p: usize = load32(page, L.D_START) + (unit << L.UNIT_SHIFT);
  boundSet(page, unit + units);
  unitsOccupy(page, unit, units);
  store32(page, L.D_USED, load32(page, L.D_USED) + 1);
  store32(page, L.D_RETIRE, 0);
  mediumTookZero = p >= load32(page, L.D_ZERO);
  pageWrittenTo(page, p + (units << L.UNIT_SHIFT));
  return p;
}

/** Marks the memory below `end` as written. No effect on a page that was not zero (0xffffffff). */
function pageWrittenTo(page: usize, end: usize): void {
  if (load32(page, L.D_ZERO) < end) store32(page, L.D_ZERO, end);
}

/** Frees the block that begins at p. */
export function mediumFree(page: usize, p: usize): void {
  const unit: u32 = unitOf(page, p);
  const units: u32 = unitsAt(page, unit);
  const used: u32 = load32(page, L.D_USED) - 1;
  boundJoin(page, unit + units);
  unitsRelease(page, unit, units);
  if (unit !== 0 && unitIsFree(page, unit - 1)) boundClear(page, unit);
  store32(page, L.D_USED, used);
  if (used === 0) mediumEmptied(page);
  else boundRaise(page, unit);
}

/**
 * Two empty pages are kept for a while, at the end of their queue, where no other page comes: else
 * a buffer that is allocated and freed repeatedly would make and drop a page each time, and dirty
 * new slices each time. With one, the peak of the git trace is 1.57 bytes for each live byte.
 */
function mediumEmptied(page: usize): void {
  if (emptyPages(page) >= EMPTY_MOST) {
    countAdd(L.COUNT_NO_RETIRE, 1);
    pageRelease(page);
    return;
  }
  queueMoveBack(page, L.BIN_MEDIUM + L.MEDIUM_RUN_MAX);
  store32(page, L.D_OWNER, (load32(page, L.D_OWNER) & ~L.FLAG_ALIGNED) >>> 0);
  store32(page, L.D_RETIRE, L.RETIRE_MEDIUM);
  pageRetire(page);
}

/** Empty pages at the end of the queue beside `page`, as far as they matter. */
function emptyPages(page: usize): u32 {
  let count: u32 = 0;
  let other: usize = load32(queueOf(L.BIN_MEDIUM + L.MEDIUM_RUN_MAX), L.Q_LAST);
  while (count < EMPTY_MOST && other !== 0 && other !== page && load32(other, L.D_USED) === 0) {
    count = count + 1;
    other = load32(other, L.D_PREV);
  }
  return count;
}

/**
 * Moves a page to the queue of the free run that contains a unit, if that is longer than its bound.
 */
function boundRaise(page: usize, unit: u32): void {
  const low: u32 = ~load32(page, L.D_FREE_LOW) >>> 0;
  const high: u32 = ~load32(page, L.D_FREE_HIGH) >>> 0;
  const run: u32 = unitAfter(low, high, unit) - unitUpTo(low, high, unit);
  const bin: u32 = L.BIN_MEDIUM + (run < L.MEDIUM_RUN_MAX ? run : L.MEDIUM_RUN_MAX);
  if (bin > load32(page, L.D_BIN)) queueMove(page, bin);
}

/** Start of the block that contains p; 0 when the unit is free. */
export function mediumBlockOf(page: usize, p: usize): usize {
  const unit: u32 = unitOf(page, p);
  if (unitIsFree(page, unit)) return 0;
  const start: u32 =
    unitUpTo(load32(page, L.D_BOUNDS_LOW), load32(page, L.D_BOUNDS_HIGH), unit) - 1;
  return load32(page, L.D_START) + (start << L.UNIT_SHIFT);
}

/** Bytes of the block that begins at p. */
export function mediumSize(page: usize, p: usize): usize {
  return unitsAt(page, unitOf(page, p)) << L.UNIT_SHIFT;
}

/** Resizes the block at p in place to hold `size` bytes, if possible. */
export function mediumResize(page: usize, p: usize, size: u32): bool {
  const unit: u32 = unitOf(page, p);
  const have: u32 = unitsAt(page, unit);
  const want: u32 = unitsFor(size);
  if (want === have) return true;
  if (want < have) {
    boundSet(page, unit + want);
    boundJoin(page, unit + have);
    unitsRelease(page, unit + want, have - want);
    boundRaise(page, unit + want);
    return true;
  }
  if (unit + want > L.MEDIUM_UNITS) return false;
  const low: u32 = ~load32(page, L.D_FREE_LOW) >>> 0;
  const high: u32 = ~load32(page, L.D_FREE_HIGH) >>> 0;
  if (unitAfter(low, high, unit + have - 1) < unit + want) return false;
  boundSet(page, unit + want);
  boundClear(page, unit + have);
  unitsOccupy(page, unit + have, want - have);
  pageWrittenTo(page, p + (want << L.UNIT_SHIFT));
  return true;
}

/**
 * Repairs the bitmaps and counters of a page whose owner was terminated during an operation. Units
 * that were only partly taken or freed become blocks that are never freed.
 */
export function mediumRepair(page: usize): void {
  let used: u32 = 0;
  for (let unit: u32 = 0; unit < L.MEDIUM_UNITS; unit++) {
    const free: bool = unitIsFree(page, unit);
    if (unit === 0 || free !== unitIsFree(page, unit - 1)) boundSet(page, unit);
    else if (free) boundClear(page, unit);
    if (!free && boundIsSet(page, unit)) used = used + 1;
  }
  store32(page, L.D_USED, used);
  store32(page, L.D_BIN, L.BIN_MEDIUM + L.MEDIUM_RUN_MAX);
  store32(page, L.D_ZERO, L.ZERO_UNKNOWN);
}

/**
 * Checks the equations above, the bounds, and that no free run is longer than the queue's bound.
 */
export function mediumIsValid(page: usize): bool {
  let used: u32 = 0;
  for (let unit: u32 = 0; unit < L.MEDIUM_UNITS; unit++) {
    const free: bool = unitIsFree(page, unit);
    const bound: bool = boundIsSet(page, unit);
    if (unit === 0 || free !== unitIsFree(page, unit - 1)) {
      if (!bound) return false;
    } else if (free && bound) {
      return false;
    }
    if (bound && !free) used = used + 1;
  }
  const longest: u32 = load32(page, L.D_BIN) - L.BIN_MEDIUM;
  if (used !== load32(page, L.D_USED) || longest < L.MEDIUM_RUN_MIN) return false;
  if (longest >= L.MEDIUM_RUN_MAX) return true;
  const low: u32 = load32(page, L.D_FREE_LOW);
  return runFind(low, load32(page, L.D_FREE_HIGH), longest + 1) === L.MEDIUM_UNITS;
}
