/**
 * A bit for each chunk of a class, temporary data of a release. Its index is the ordinal of the
 * region times the chunks of a region, plus the index of the chunk in the region. Bits are set for
 * the chunks on the free array: that finds chunks that are on it twice, ranges of free chunks and
 * regions without live chunks; the array that is written from them is sorted.
 */
import { load32, memoryZero, store32 } from "../../core/target/glue.ts";
import * as L from "./layout.ts";
import {
  bitsBytes,
  chunkCount,
  regionChunks,
  regionClass,
  regionCompact,
  regionNext,
  regionOrdinal,
} from "./regions.ts";
import { alignUp, scale, spaceMap } from "./space.ts";
import {
  arrayAt,
  arrayBytes,
  cache,
  cacheShift,
  cacheStacks,
  granule,
  infoOf,
  mapRegions,
  regionMap,
  regionShift,
  unitMask,
} from "./state.ts";

/** The bits end where the memory of the array ends. */
export function bitsAt(cls: u32, bytes: u32): usize {
  const info: usize = infoOf(cls);
  return arrayAt(cls) + (mapRegions === 0 ? arrayBytes : load32(info, L.R_MAPPED_ARRAY)) - bytes;
}

/** Maps the bits. On demand the array has space for them. */
export function bitsMap(cls: u32, bytes: u32): bool {
  if (mapRegions !== 0) return true;
  const info: usize = infoOf(cls);
  const had: u32 = load32(info, L.R_MAPPED_BITS);
  if (bytes <= had) return true;
  const wanted: u32 = alignUp(bytes, granule);
  if (spaceMap(bitsAt(cls, wanted), wanted - had) !== L.MAP_DONE) return false;
  store32(info, L.R_MAPPED_BITS, wanted);
  return true;
}

/**
 * Sets a bit for each chunk on the free array. Returns a chunk that is on it twice, or NONE. There
 * are two loops, because a lookup in the map makes the one that needs none three times as slow.
 */
export function bitsSet(cls: u32, chunks: u32): u32 {
  const bytes: u32 = bitsBytes(chunks);
  const bits: usize = bitsAt(cls, bytes);
  memoryZero(bits, bytes);
  return mapRegions === 0 ? ownBitsSet(cls, bits) : mapBitsSet(cls, bits);
}

function ownBitsSet(cls: u32, bits: usize): u32 {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const array: usize = arrayAt(cls);
  const end: u32 = load32(info, L.R_FREED);
  const power: bool = (units & (units - 1)) === 0;
  const shift: u32 = logOf(units);
  let twice: u32 = L.NONE;
  for (let i: u32 = 0; i < end; i++) {
    const compact: u32 = load32(array + i * 4, 0);
    if (bitMark(bits, power ? compact >>> shift : (compact / units) >>> 0)) twice = compact;
  }
  return twice;
}

function mapBitsSet(cls: u32, bits: usize): u32 {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const array: usize = arrayAt(cls);
  const end: u32 = load32(info, L.R_FREED);
  const each: u32 = regionChunks(info);
  const power: bool = (units & (units - 1)) === 0;
  const shift: u32 = logOf(units);
  const log: u32 = regionShift - 4;
  let twice: u32 = L.NONE;
  for (let i: u32 = 0; i < end; i++) {
    const compact: u32 = load32(array + i * 4, 0);
    const word: u32 = load32(regionMap + (compact >>> log) * 4, 0);
    const offset: u32 = (compact & unitMask) >>> 0;
    const within: u32 = power ? offset >>> shift : (offset / units) >>> 0;
    // A chunk whose region was released was also in a cache at that time.
    if ((word & 255) !== cls || bitMark(bits, (word >>> 8) * each + within)) twice = compact;
  }
  return twice;
}

/**
 * A chunk that is on the array and in this thread's cache was freed twice: it stays in the cache,
 * and its region is not released. The caches of other threads are not searched: they change
 * meanwhile.
 */
export function cachedBitsClear(cls: u32, chunks: u32): u32 {
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  const stack: usize = cacheStacks + scale(cls, cacheShift);
  const count: u32 = load32(cache + cls * 8, L.K_COUNT);
  let twice: u32 = L.NONE;
  for (let i: u32 = 0; i < count; i++) {
    const compact: u32 = load32(stack + i * 4, 0);
    if (bitClear(bits, bitOf(cls, compact), chunks)) twice = compact;
  }
  return twice;
}

/** Index of the bit of a chunk; NONE if its region was released. */
function bitOf(cls: u32, compact: u32): u32 {
  const info: usize = infoOf(cls);
  const index: u32 = compact >>> (regionShift - 4);
  if (mapRegions !== 0 && regionClass(index) !== cls) return L.NONE;
  const first: u32 = mapRegions === 0 ? 0 : regionOrdinal(index) * regionChunks(info);
  return first + (((compact & unitMask) / load32(info, L.R_UNITS)) >>> 0);
}

/** Clears a bit below `count`. Returns whether it was set. */
function bitClear(bits: usize, i: u32, count: u32): bool {
  if (i >= count) return false;
  const at: usize = bits + (i >>> 5) * 4;
  const word: u32 = load32(at, 0);
  const bit: u32 = (1 << (i & 31)) >>> 0;
  store32(at, 0, (word & ~bit) >>> 0);
  return (word & bit) !== 0;
}

/** Sets a bit. Returns whether it was set before. */
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

/** Rewrites the array from the bits, ascending: chunks are taken from its end. */
export function arrayRewrite(cls: u32): void {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const each: u32 = regionChunks(info);
  const chunks: u32 = chunkCount(info);
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  const array: usize = arrayAt(cls);
  let to: usize = array;
  for (let index: u32 = regionNext(cls, 0); index !== L.NONE; index = regionNext(cls, index + 1)) {
    const first: u32 = regionOrdinal(index) * each;
    if (first < chunks)
      to = compactsWrite(to, bits, first, first + each, regionCompact(index), units);
  }
  store32(info, L.R_FREED, ((to - array) / 4) >>> 0);
}

/** Writes a compact for each bit from `from` to `end`. Returns the address after the last. */
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

/** The next region of a class, from a number on, of which all chunks are free. */
export function regionFree(cls: u32, from: u32): u32 {
  const info: usize = infoOf(cls);
  const each: u32 = regionChunks(info);
  const chunks: u32 = chunkCount(info);
  const bits: usize = bitsAt(cls, bitsBytes(chunks));
  let index: u32 = regionNext(cls, from);
  while (index !== L.NONE) {
    const first: u32 = regionOrdinal(index) * each;
    if (first < chunks && bitFind(bits, first, first + each, L.NONE) === first + each) return index;
    index = regionNext(cls, index + 1);
  }
  return L.NONE;
}

/** The first bit from `from` on that differs from the bits of `skipped`, 0 or NONE; else `end`. */
export function bitFind(bits: usize, from: u32, end: u32, skipped: u32): u32 {
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
