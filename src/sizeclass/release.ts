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
  R_ALLOCATED,
  R_ALLOCS,
  R_FREED,
  R_FREES,
  R_FREES_AT,
  R_FROM,
  R_LAST,
  R_MAPPED_ARRAY,
  R_MAPPED_BITS,
  R_MAPPED_USER,
  R_PAGES,
  R_REACH,
  R_RELEASES,
  R_REWRITE,
  R_TO,
  R_UNITS,
} from "./layout.ts";
import { chunksMend } from "./region.ts";
import {
  bitsBytes,
  chunkCount,
  regionChunks,
  regionCompact,
  regionNext,
  regionOrdinal,
  regionsMend,
} from "./regions.ts";
import { alignUp, spaceMap, spaceRelease, spaceUnmap, timeNow } from "./space.ts";
import {
  arrayAt,
  arrayBytes,
  baseOf,
  control,
  granule,
  infoOf,
  keepsLast,
  mapRegions,
  metaUnits,
  pageSize,
  regionAt,
  regionShift,
  unitMask,
  userUnits,
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
  if (regionIsIdle(info, chunks)) regionUnmap(cls);
  else rangesRelease(cls);
  return twice;
}

/**
 * Whether all chunks are free, and so many that their places on the array take a page: an array of
 * four bytes for each of 64 would keep a sixteenth of what was freed. Metadata outlives its chunks,
 * who wants the original behaviour has it, and the array of regions on demand moves anyway.
 */
function regionIsIdle(info: usize, chunks: u32): bool {
  if (mapRegions !== 0 || keepsLast || metaUnits !== 0) return false;
  if (chunks * 4 < pageSize) return false;
  return load32(info, R_FREED) === chunks;
}

/**
 * Unmaps a region of which no chunk is in use: chunks are made anew when one is wanted. After a
 * thread that died in here, `regionMend` finds all chunks free or none at all.
 */
function regionUnmap(cls: u32): void {
  const info: usize = infoOf(cls);
  const user: u32 = load32(info, R_MAPPED_USER);
  const array: u32 = load32(info, R_MAPPED_ARRAY);
  const bits: u32 = load32(info, R_MAPPED_BITS);
  store32(info, R_FREES_AT, load32(info, R_FREES));
  store32(info, R_RELEASES, load32(info, R_RELEASES) + 1);
  store32(info, R_PAGES, load32(info, R_PAGES) + ((user / (pageSize >>> 4)) >>> 0));
  store32(info, R_REWRITE, 1);
  store32(info, R_ALLOCATED, 0);
  store32(info, R_FREED, 0);
  store32(info, R_REWRITE, 0);
  store32(info, R_MAPPED_USER, 0);
  store32(info, R_MAPPED_ARRAY, 0);
  store32(info, R_MAPPED_BITS, 0);
  spaceUnmap(regionAt(cls), user * 16);
  spaceUnmap(arrayAt(cls), array);
  spaceUnmap(bitsAt(cls, bits), bits);
}

/**
 * What a thread that died has left half done; the caller has its lock. Chunks that it took and
 * noted nowhere count as handed out.
 */
export function regionMend(cls: u32): void {
  const info: usize = infoOf(cls);
  if (mapRegions !== 0) regionsMend(cls);
  if (load32(info, R_REWRITE) !== 0) {
    arrayRewrite(cls);
    store32(info, R_REWRITE, 0);
  }
  chunksMend(cls);
  const out: u32 = chunkCount(info) - load32(info, R_FREED);
  store32(info, R_ALLOCS, (load32(info, R_FREES) + out) >>> 0);
}

/** The bits end where the array's memory ends. */
function bitsAt(cls: u32, bytes: u32): usize {
  const info: usize = infoOf(cls);
  return arrayAt(cls) + (mapRegions === 0 ? arrayBytes : load32(info, R_MAPPED_ARRAY)) - bytes;
}

/** An array that moves has room for the bits. */
function bitsMap(cls: u32, bytes: u32): bool {
  if (mapRegions !== 0) return true;
  const info: usize = infoOf(cls);
  const had: u32 = load32(info, R_MAPPED_BITS);
  if (bytes <= had) return true;
  const wanted: u32 = alignUp(bytes, granule);
  if (spaceMap(bitsAt(cls, wanted), wanted - had) !== MAP_DONE) return false;
  store32(info, R_MAPPED_BITS, wanted);
  return true;
}

/**
 * One for each chunk on the free array; answers what is on it twice, or NONE. Two loops, because a
 * look at the map in the one that needs none makes it three times as slow.
 */
function bitsSet(cls: u32, chunks: u32): u32 {
  const bytes: u32 = bitsBytes(chunks);
  const bits: usize = bitsAt(cls, bytes);
  memoryZero(bits, bytes);
  return mapRegions === 0 ? ownBitsSet(cls, bits) : mapBitsSet(cls, bits);
}

function ownBitsSet(cls: u32, bits: usize): u32 {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, R_UNITS);
  const array: usize = arrayAt(cls);
  const end: u32 = load32(info, R_FREED);
  const power: bool = (units & (units - 1)) === 0;
  const shift: u32 = logOf(units);
  let twice: u32 = NONE;
  for (let i: u32 = 0; i < end; i++) {
    const compact: u32 = load32(array + i * 4, 0);
    if (bitMark(bits, power ? compact >>> shift : (compact / units) >>> 0)) twice = compact;
  }
  return twice;
}

function mapBitsSet(cls: u32, bits: usize): u32 {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, R_UNITS);
  const array: usize = arrayAt(cls);
  const end: u32 = load32(info, R_FREED);
  const each: u32 = regionChunks(info);
  const power: bool = (units & (units - 1)) === 0;
  const shift: u32 = logOf(units);
  const log: u32 = regionShift - 4;
  let twice: u32 = NONE;
  for (let i: u32 = 0; i < end; i++) {
    const compact: u32 = load32(array + i * 4, 0);
    const offset: u32 = (compact & unitMask) >>> 0;
    const within: u32 = power ? offset >>> shift : (offset / units) >>> 0;
    if (bitMark(bits, regionOrdinal(compact >>> log) * each + within)) twice = compact;
  }
  return twice;
}

/** Sets a bit; whether it was set. */
function bitMark(bits: usize, i: u32): bool {
  const at: usize = bits + (i >>> 5) * 4;
  const word: u32 = load32(at, 0);
  const bit: u32 = (1 << (i & 31)) >>> 0;
  store32(at, 0, (word | bit) >>> 0);
  return (word & bit) !== 0;
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
  const each: u32 = regionChunks(info);
  const chunks: u32 = chunkCount(info);
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  const array: usize = arrayAt(cls);
  let to: usize = array;
  for (let index: u32 = regionNext(cls, 0); index !== NONE; index = regionNext(cls, index + 1)) {
    const first: u32 = regionOrdinal(index) * each;
    if (first < chunks)
      to = compactsWrite(to, bits, first, first + each, regionCompact(index), units);
  }
  store32(info, R_FREED, ((to - array) / 4) >>> 0);
}

/** Writes a compact for each bit from `from` to `end`; where the next one goes. */
function compactsWrite(
  array: usize,
  bits: usize,
  from: u32,
  end: u32,
  compact: u32,
  units: u32,
): usize {
  let to: usize = array;
  let begin: u32 = compact;
  for (let i: u32 = from; i < end; ) {
    const next: u32 = ((i >>> 5) + 1) * 32;
    let word: u32 = load32(bits + (i >>> 5) * 4, 0) >>> (i & 31);
    if (next > end) word = (word & (0xffffffff >>> (32 - (end - i)))) >>> 0;
    let at: u32 = begin;
    while (word !== 0) {
      if ((word & 1) !== 0) {
        store32(to, 0, at);
        to += 4;
      }
      word = word >>> 1;
      at += units;
    }
    begin += (next - i) * units;
    i = next;
  }
  return to;
}

/** A range is released when the next one begins; the last one is what LLVM forgets. */
function rangesRelease(cls: u32): void {
  const info: usize = infoOf(cls);
  store32(info, R_TO, 0);
  for (let index: u32 = regionNext(cls, 0); index !== NONE; index = regionNext(cls, index + 1)) {
    rangesFind(cls, index);
  }
  if (!keepsLast) rangeRelease(cls);
}

/** The ranges of free chunks in a region; none where its chunks are still to be made. */
function rangesFind(cls: u32, index: u32): void {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, R_UNITS);
  const each: u32 = regionChunks(info);
  const chunks: u32 = chunkCount(info);
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  const first: u32 = regionOrdinal(index) * each;
  if (first >= chunks) return;
  const end: u32 = first + each;
  const base: u32 = regionCompact(index);
  let begin: u32 = bitFind(bits, first, end, 0);
  while (begin < end) {
    const used: u32 = bitFind(bits, begin, end, NONE);
    const to: u32 = used < end ? (used - first) * units : regionEnd(info);
    rangeAdd(cls, base + (begin - first) * units, base + to);
    begin = bitFind(bits, used, end, 0);
  }
}

/** Units of a region behind which its last chunk's range ends: a rest that is nobody's is in it. */
function regionEnd(info: usize): u32 {
  return mapRegions === 0 || metaUnits !== 0 ? load32(info, R_REACH) : userUnits;
}

/** Joins a range to the one before, or ends that one. */
function rangeAdd(cls: u32, from: u32, to: u32): void {
  const info: usize = infoOf(cls);
  if (load32(info, R_TO) !== from || from === 0) {
    rangeRelease(cls);
    store32(info, R_FROM, from);
  }
  store32(info, R_TO, to);
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

/** Releases the range that was added last, if there is one with a page of bytes. */
function rangeRelease(cls: u32): void {
  const info: usize = infoOf(cls);
  const from: u32 = load32(info, R_FROM);
  const to: u32 = load32(info, R_TO);
  const page: u32 = pageSize >>> 4;
  if (to < from + page) return;
  store32(info, R_FREES_AT, load32(info, R_FREES));
  store32(info, R_RELEASES, load32(info, R_RELEASES) + 1);
  const low: u32 = ((from + page - 1) / page) >>> 0;
  const high: u32 = (to / page) >>> 0;
  if (low >= high) return;
  store32(info, R_PAGES, load32(info, R_PAGES) + high - low);
  spaceRelease(baseOf(cls) + low * pageSize, (high - low) * pageSize);
}
