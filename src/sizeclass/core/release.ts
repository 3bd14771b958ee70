/**
 * Giving whole pages of free chunks back to the operating system.
 *
 * LLVM sorts the free array and looks for neighbours. Here a bit for each chunk does both in one
 * pass over each (bits.ts): 4 million chunks take some ten milliseconds; sorting them took fifty
 * times as long.
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
 * Releases what can be, unless it is too early or too little. The caller holds the lock. Answers
 * the compact of a chunk that was free twice, or NONE; it is on the array once afterwards.
 */
export function releaseMaybe(cls: u32): u32 {
  const info: usize = infoOf(cls);
  if (!releaseIsWorth(info)) return L.NONE;
  const interval: u32 = atomicLoad(control, L.C_INTERVAL);
  if (interval === L.NEVER) return L.NONE;
  const now: u32 = timeNow();
  const last: u32 = load32(info, L.R_LAST);
  if (last !== 0 && (now - last) >>> 0 < interval) return L.NONE;
  store32(info, L.R_LAST, now);
  return regionRelease(cls);
}

/** Whether a page or more is free, and was freed since the last time. */
export function releaseIsWorth(info: usize): bool {
  const least: u32 = pageChunks(info);
  if (load32(info, L.R_FREED) < least) return false;
  return (load32(info, L.R_FREES) - load32(info, L.R_FREES_AT)) >>> 0 >= least;
}

/** The fewest chunks that have a page of bytes. */
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
  // A chunk that was free twice came back once.
  store32(info, L.R_FREES, (load32(info, L.R_FREES) + load32(info, L.R_FREED) - before) >>> 0);
  if (regionIsIdle(info, chunks)) {
    regionUnmap(cls);
  } else {
    rangesRelease(cls);
    if (mapRegions !== 0) regionsGive(cls);
  }
  return onArray === L.NONE ? inCache : onArray;
}

/**
 * Whether all chunks are free, and so many that their places on the array take a page: an array of
 * four bytes for each of 64 would keep a sixteenth of what was freed. Metadata outlives its chunks,
 * and who wants the original behaviour has it.
 */
function regionIsIdle(info: usize, chunks: u32): bool {
  if (mapRegions !== 0 || keepsLast || metaUnits !== 0) return false;
  if (chunks * 4 < pageSize) return false;
  return load32(info, L.R_FREED) === chunks;
}

/**
 * Unmaps a region of which no chunk is in use: chunks are made anew when one is wanted. After a
 * thread that died in here, `regionMend` finds all chunks free or none at all.
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
 * On demand: regions of which all chunks are free go back to where large blocks and the regions of
 * other classes come from; without one the array goes too. Their pages are released already, so
 * that the lock of the large blocks is had for the books only. Who cannot have it leaves them.
 *
 * Each region leaves by one store, while the array is to be rewritten: after a death the array is
 * made from the bits of the regions that are left, and who inherits the other lock unmaps the rest.
 */
function regionsGive(cls: u32): void {
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
 * What a thread that died has left half done; the caller has its lock. Chunks that it took and
 * noted nowhere count as handed out. The array comes first: the bits know regions by old numbers.
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

/** A range is released when the next one begins; the last one is what LLVM forgets. */
function rangesRelease(cls: u32): void {
  const info: usize = infoOf(cls);
  store32(info, L.R_TO, 0);
  for (let index: u32 = regionNext(cls, 0); index !== L.NONE; index = regionNext(cls, index + 1)) {
    rangesFind(cls, index);
  }
  if (!keepsLast) rangeRelease(cls);
}

/** The ranges of free chunks in a region; none where its chunks are still to be made. */
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

/** Units of a region behind which its last chunk's range ends: a rest that is nobody's is in it. */
function regionEnd(info: usize): u32 {
  return mapRegions === 0 || metaUnits !== 0 ? load32(info, L.R_REACH) : userUnits;
}

/** Joins a range to the one before, or ends that one. */
function rangeAdd(cls: u32, from: u32, to: u32): void {
  const info: usize = infoOf(cls);
  if (load32(info, L.R_TO) !== from || from === 0) {
    rangeRelease(cls);
    store32(info, L.R_FROM, from);
  }
  store32(info, L.R_TO, to);
}

/** Releases the range that was added last, if there is one with a page of bytes. */
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
