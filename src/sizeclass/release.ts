/**
 * Giving whole pages of free chunks back to the operating system.
 *
 * LLVM sorts the free array and looks for neighbours. Here a bit for each chunk does both in one
 * pass over each: setting the bits finds a chunk that was freed twice, runs of bits are the ranges,
 * and the array that is written from the bits is sorted. 4 million chunks take some ten
 * milliseconds; sorting them took fifty times as long.
 */
import { atomicLoad } from "../core/atomics.ts";
import { load32, memoryZero, store32 } from "../core/glue.ts";
import {
  C_INTERVAL,
  MAP_DONE,
  NEVER,
  NONE,
  R_ALLOCS,
  R_FREED,
  R_FREES,
  R_FREES_AT,
  R_LAST,
  R_MAPPED_BITS,
  R_PAGES,
  R_RELEASES,
  R_REWRITE,
  R_UNITS,
} from "./layout.ts";
import { bitsBytes, chunkCount, chunksMend } from "./region.ts";
import { alignUp, spaceMap, spaceRelease, timeNow } from "./space.ts";
import {
  arrayAt,
  arrayBytes,
  control,
  granule,
  infoOf,
  keepsLast,
  pageSize,
  regionAt,
} from "./state.ts";

/**
 * Releases what can be, unless it is too early or too little. The caller holds the lock. Answers
 * the compact of a chunk that was free twice, or NONE; it is on the array once afterwards.
 */
export function releaseMaybe(cls: u32): u32 {
  const info: usize = infoOf(cls);
  if (!releaseIsWorth(info)) return NONE;
  const interval: u32 = atomicLoad(control, C_INTERVAL);
  if (interval === NEVER) return NONE;
  const now: u32 = timeNow();
  const last: u32 = load32(info, R_LAST);
  if (last !== 0 && (now - last) >>> 0 < interval) return NONE;
  store32(info, R_LAST, now);
  return regionRelease(cls);
}

/** Whether a page or more is free, and was freed since the last time. */
export function releaseIsWorth(info: usize): bool {
  const least: u32 = pageChunks(info);
  if (load32(info, R_FREED) < least) return false;
  return (load32(info, R_FREES) - load32(info, R_FREES_AT)) >>> 0 >= least;
}

/** The fewest chunks that have a page of bytes. */
function pageChunks(info: usize): u32 {
  const units: u32 = load32(info, R_UNITS);
  return (((pageSize >>> 4) + units - 1) / units) >>> 0;
}

export function regionRelease(cls: u32): u32 {
  const info: usize = infoOf(cls);
  const chunks: u32 = chunkCount(info);
  if (!bitsMap(cls, bitsBytes(chunks))) return NONE;
  const twice: u32 = bitsSet(cls, chunks);
  const before: u32 = load32(info, R_FREED);
  store32(info, R_REWRITE, 1);
  arrayRewrite(cls);
  store32(info, R_REWRITE, 0);
  // A chunk that was free twice came back once.
  store32(info, R_FREES, (load32(info, R_FREES) + load32(info, R_FREED) - before) >>> 0);
  rangesRelease(cls, chunks);
  return twice;
}

/**
 * What a thread that died has left half done; the caller has its lock. Chunks that it took and
 * noted nowhere count as handed out.
 */
export function regionMend(cls: u32): void {
  const info: usize = infoOf(cls);
  if (load32(info, R_REWRITE) !== 0) {
    arrayRewrite(cls);
    store32(info, R_REWRITE, 0);
  }
  chunksMend(cls);
  const out: u32 = chunkCount(info) - load32(info, R_FREED);
  store32(info, R_ALLOCS, (load32(info, R_FREES) + out) >>> 0);
}

/** The bits end where the region ends. */
function bitsAt(cls: u32, bytes: u32): usize {
  return arrayAt(cls) + arrayBytes - bytes;
}

function bitsMap(cls: u32, bytes: u32): bool {
  const info: usize = infoOf(cls);
  const had: u32 = load32(info, R_MAPPED_BITS);
  if (bytes <= had) return true;
  const wanted: u32 = alignUp(bytes, granule);
  if (spaceMap(bitsAt(cls, wanted), wanted - had) !== MAP_DONE) return false;
  store32(info, R_MAPPED_BITS, wanted);
  return true;
}

/** One for each chunk on the free array. */
function bitsSet(cls: u32, chunks: u32): u32 {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, R_UNITS);
  const bytes: u32 = bitsBytes(chunks);
  const bits: usize = bitsAt(cls, bytes);
  const array: usize = arrayAt(cls);
  const end: u32 = load32(info, R_FREED);
  const power: bool = (units & (units - 1)) === 0;
  const shift: u32 = logOf(units);
  let twice: u32 = NONE;
  memoryZero(bits, bytes);
  for (let i: u32 = 0; i < end; i++) {
    const compact: u32 = load32(array + i * 4, 0);
    const chunk: u32 = power ? compact >>> shift : (compact / units) >>> 0;
    const at: usize = bits + (chunk >>> 5) * 4;
    const word: u32 = load32(at, 0);
    const bit: u32 = (1 << (chunk & 31)) >>> 0;
    if ((word & bit) !== 0) twice = compact;
    store32(at, 0, (word | bit) >>> 0);
  }
  return twice;
}

function logOf(x: u32): u32 {
  let log: u32 = 0;
  for (let rest: u32 = x; rest > 1; rest = rest >>> 1) log++;
  return log;
}

/** The array anew from the bits, ascending: what is allocated next comes from the end. */
function arrayRewrite(cls: u32): void {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, R_UNITS);
  const bytes: u32 = bitsBytes(chunkCount(info));
  const bits: usize = bitsAt(cls, bytes);
  let to: usize = arrayAt(cls);
  for (let at: u32 = 0; at < bytes; at += 4) {
    let word: u32 = load32(bits + at, 0);
    let compact: u32 = at * 8 * units;
    while (word !== 0) {
      if ((word & 1) !== 0) {
        store32(to, 0, compact);
        to += 4;
      }
      word = word >>> 1;
      compact += units;
    }
  }
  store32(info, R_FREED, ((to - arrayAt(cls)) / 4) >>> 0);
}

/** A range is released when the next one begins; the last one is what LLVM forgets. */
function rangesRelease(cls: u32, chunks: u32): void {
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  let begin: u32 = bitFind(bits, 0, chunks, 0);
  while (begin < chunks) {
    const end: u32 = bitFind(bits, begin, chunks, NONE);
    const next: u32 = bitFind(bits, end, chunks, 0);
    if (next < chunks || !keepsLast) rangeRelease(cls, begin, end);
    begin = next;
  }
}

/** The first bit from `from` on that is not in words of `skipped` and not alike; or `end`. */
function bitFind(bits: usize, from: u32, end: u32, skipped: u32): u32 {
  let i: u32 = from;
  while (i < end) {
    const word: u32 = load32(bits + (i >>> 5) * 4, 0);
    if (word === skipped) {
      i = ((i >>> 5) + 1) * 32;
    } else {
      if (((word >>> (i & 31)) & 1) !== (skipped & 1)) return i;
      i++;
    }
  }
  return end;
}

/** Counts as released from a page of bytes on, even where these hold no whole page. */
function rangeRelease(cls: u32, first: u32, end: u32): void {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, R_UNITS);
  const from: u32 = first * units;
  const to: u32 = end * units;
  if (to - from < pageSize >>> 4) return;
  store32(info, R_FREES_AT, load32(info, R_FREES));
  store32(info, R_RELEASES, load32(info, R_RELEASES) + 1);
  const page: u32 = pageSize >>> 4;
  const low: u32 = ((from + page - 1) / page) >>> 0;
  const high: u32 = (to / page) >>> 0;
  if (low >= high) return;
  store32(info, R_PAGES, load32(info, R_PAGES) + high - low);
  spaceRelease(regionAt(cls) + low * pageSize, (high - low) * pageSize);
}
