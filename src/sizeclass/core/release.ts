/**
 * Returns whole pages of free chunks to the operating system.
 *
 * LLVM sorts the free array and looks for neighbours. Here a bit for each chunk does both in one
 * pass (bits.ts): 4 million chunks take some ten milliseconds, a fiftieth of the time of sorting.
 */
import { atomicLoad } from "../../core/target/atomics.ts";
import { load32, store32 } from "../../core/target/glue.ts";
import {
  arrayRewrite,
  bitFind,
  bitsAt,
  bitsMap,
  bitsSet,
  cachedBitsClear,
  regionFree,
} from "./bits.ts";
import * as L from "./layout.ts";
import { lockAcquire, lockRelease } from "./lock.ts";
import { chunksMend } from "./region.ts";
import {
  arrayFit,
  bitsBytes,
  chunkCount,
  regionChunks,
  regionCompact,
  regionNext,
  regionOrdinal,
  regionsNumber,
  regionsUnmap,
  regionUnassign,
} from "./regions.ts";
import { spaceRelease, spaceUnmap, timeNow } from "./space.ts";
import {
  arrayAt,
  baseOf,
  control,
  infoOf,
  keepsLast,
  mapRegions,
  metaUnits,
  pageSize,
  regionAt,
  userUnits,
} from "./state.ts";

/**
 * Releases a class, unless it is too early or too little is free. The caller holds the lock.
 * Returns the compact of a chunk that was freed twice, which is on the array once afterwards; or
 * NONE.
 */
export function releaseMaybe(cls: u32): u32 {
  const info: usize = infoOf(cls);
  if (!releaseIsWorthwhile(info)) return L.NONE;
  const interval: u32 = atomicLoad(control, L.C_INTERVAL);
  if (interval === L.NEVER) return L.NONE;
  const now: u32 = timeNow();
  const last: u32 = load32(info, L.R_LAST);
  if (last !== 0 && (now - last) >>> 0 < interval) return L.NONE;
  store32(info, L.R_LAST, now);
  return regionRelease(cls);
}

/** Whether at least a page is free, and was freed since the last release. */
export function releaseIsWorthwhile(info: usize): bool {
  const least: u32 = pageChunks(info);
  if (load32(info, L.R_FREED) < least) return false;
  return (load32(info, L.R_FREES) - load32(info, L.R_FREES_AT)) >>> 0 >= least;
}

/** The fewest chunks that together have the bytes of a page. */
function pageChunks(info: usize): u32 {
  const units: u32 = load32(info, L.R_UNITS);
  return (((pageSize >>> 4) + units - 1) / units) >>> 0;
}

export function regionRelease(cls: u32): u32 {
  const info: usize = infoOf(cls);
  const chunks: u32 = chunkCount(info);
  if (!bitsMap(cls, bitsBytes(chunks))) return L.NONE;
  const onArray: u32 = bitsSet(cls, chunks);
  const inCache: u32 = cachedBitsClear(cls, chunks);
  const before: u32 = load32(info, L.R_FREED);
  store32(info, L.R_REWRITE, 1);
  arrayRewrite(cls);
  store32(info, L.R_REWRITE, 0);
  // A chunk that was freed twice counts as returned once.
  store32(info, L.R_FREES, (load32(info, L.R_FREES) + load32(info, L.R_FREED) - before) >>> 0);
  if (regionIsIdle(info, chunks)) {
    regionUnmap(cls);
  } else {
    rangesRelease(cls);
    if (mapRegions !== 0) regionsReturn(cls);
  }
  return onArray === L.NONE ? inCache : onArray;
}

/**
 * Whether all chunks are free, and their entries on the array take at least a page: for chunks of
 * 64 bytes the array would keep a sixteenth of what was freed. Not with metadata, which stays when
 * its chunk is freed, nor where the original behaviour is asked for.
 */
function regionIsIdle(info: usize, chunks: u32): bool {
  if (mapRegions !== 0 || keepsLast || metaUnits !== 0) return false;
  if (chunks * 4 < pageSize) return false;
  return load32(info, L.R_FREED) === chunks;
}

/**
 * Unmaps a region without live chunks: chunks are made again when one is needed. After a death in
 * here, `regionMend` finds all chunks free, or none made.
 */
function regionUnmap(cls: u32): void {
  const info: usize = infoOf(cls);
  const user: u32 = load32(info, L.R_MAPPED_USER);
  const array: u32 = load32(info, L.R_MAPPED_ARRAY);
  const bits: u32 = load32(info, L.R_MAPPED_BITS);
  store32(info, L.R_FREES_AT, load32(info, L.R_FREES));
  store32(info, L.R_RELEASES, load32(info, L.R_RELEASES) + 1);
  store32(info, L.R_PAGES, load32(info, L.R_PAGES) + ((user / (pageSize >>> 4)) >>> 0));
  store32(info, L.R_REWRITE, 1);
  store32(info, L.R_ALLOCATED, 0);
  store32(info, L.R_FREED, 0);
  store32(info, L.R_REWRITE, 0);
  store32(info, L.R_MAPPED_USER, 0);
  store32(info, L.R_MAPPED_ARRAY, 0);
  store32(info, L.R_MAPPED_BITS, 0);
  spaceUnmap(regionAt(cls), user * 16);
  spaceUnmap(arrayAt(cls), array);
  spaceUnmap(bitsAt(cls, bits), bits);
}

/**
 * On demand: returns regions of which all chunks are free to the pages of the large blocks, and
 * with the last one the array. Their pages are released already, so the lock of the large blocks is
 * held only to update counters and bitmaps; without it the regions stay.
 *
 * Each region loses its class by one store, while R_REWRITE is set: after a death the array is
 * written from the bits of the remaining regions, and the thread that takes over the other lock
 * unmaps the rest.
 */
function regionsReturn(cls: u32): void {
  if (keepsLast || metaUnits !== 0) return;
  let index: u32 = regionFree(cls, 0);
  if (index === L.NONE || !lockAcquire(control + L.C_LOCK)) return;
  const info: usize = infoOf(cls);
  store32(info, L.R_REWRITE, 1);
  for (; index !== L.NONE; index = regionFree(cls, index + 1)) regionUnassign(index);
  arrayRewrite(cls);
  store32(info, L.R_REWRITE, 0);
  regionsNumber(cls);
  regionsUnmap();
  arrayFit(cls);
  lockRelease(control + L.C_LOCK);
}

/**
 * Completes what a thread that died left half done; the caller has taken over its lock. Chunks that
 * it took and recorded nowhere count as handed out. The array comes first: the bits are in the
 * order of the old ordinals.
 */
export function regionMend(cls: u32): void {
  const info: usize = infoOf(cls);
  if (load32(info, L.R_REWRITE) !== 0) {
    arrayRewrite(cls);
    store32(info, L.R_REWRITE, 0);
  }
  if (mapRegions !== 0) regionsNumber(cls);
  chunksMend(cls);
  const out: u32 = chunkCount(info) - load32(info, L.R_FREED);
  store32(info, L.R_ALLOCS, (load32(info, L.R_FREES) + out) >>> 0);
}

/** A range is released when the next one begins; LLVM omits the last one. */
function rangesRelease(cls: u32): void {
  const info: usize = infoOf(cls);
  store32(info, L.R_TO, 0);
  for (let index: u32 = regionNext(cls, 0); index !== L.NONE; index = regionNext(cls, index + 1)) {
    rangesFind(cls, index);
  }
  if (!keepsLast) rangeRelease(cls);
}

/** Finds the ranges of free chunks in a region; none if its chunks were not made yet. */
function rangesFind(cls: u32, index: u32): void {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const each: u32 = regionChunks(info);
  const chunks: u32 = chunkCount(info);
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  const first: u32 = regionOrdinal(index) * each;
  if (first >= chunks) return;
  const end: u32 = first + each;
  const base: u32 = regionCompact(index);
  let begin: u32 = bitFind(bits, first, end, 0);
  while (begin < end) {
    const used: u32 = bitFind(bits, begin, end, L.NONE);
    const to: u32 = used < end ? (used - first) * units : regionEnd(info);
    rangeAdd(cls, base + (begin - first) * units, base + to);
    begin = bitFind(bits, used, end, 0);
  }
}

/** End of a range with the last chunk, in units: it includes the rest that holds no chunk. */
function regionEnd(info: usize): u32 {
  return mapRegions === 0 || metaUnits !== 0 ? load32(info, L.R_REACH) : userUnits;
}

/** Joins a range to the last one, or releases that one. */
function rangeAdd(cls: u32, from: u32, to: u32): void {
  const info: usize = infoOf(cls);
  if (load32(info, L.R_TO) !== from || from === 0) {
    rangeRelease(cls);
    store32(info, L.R_FROM, from);
  }
  store32(info, L.R_TO, to);
}

/** Releases the range that was added last, if it has the bytes of a page. */
function rangeRelease(cls: u32): void {
  const info: usize = infoOf(cls);
  const from: u32 = load32(info, L.R_FROM);
  const to: u32 = load32(info, L.R_TO);
  const page: u32 = pageSize >>> 4;
  if (to < from + page) return;
  store32(info, L.R_FREES_AT, load32(info, L.R_FREES));
  store32(info, L.R_RELEASES, load32(info, L.R_RELEASES) + 1);
  const low: u32 = ((from + page - 1) / page) >>> 0;
  const high: u32 = (to / page) >>> 0;
  if (low >= high) return;
  store32(info, L.R_PAGES, load32(info, L.R_PAGES) + high - low);
  spaceRelease(baseOf(cls) + low * pageSize, (high - low) * pageSize);
}
