/**
 * Which class has which region. Where regions are reserved, the number of a region is its class. On
 * demand, as in LLVM's SizeClassAllocator32, a map has a word for each: any class takes the next
 * free one, from the pages of the large blocks, and a release returns those of which all chunks are
 * free.
 */
import { load32, memoryCopy, store32 } from "../../core/target/glue.ts";
import { addressOf, mappingMake, pagesUnmap } from "./large.ts";
import * as L from "./layout.ts";
import { lockAcquire, lockRelease } from "./lock.ts";
import { unscale } from "./space.ts";
import {
  arrayAt,
  control,
  infoOf,
  large,
  mapRegions,
  metaUnits,
  pageSize,
  regionAt,
  regionMap,
  regionShift,
  seedsByAddress,
  unitMask,
  userUnits,
} from "./state.ts";

/** On demand, the class of a region; 0 = none. */
export function regionClass(index: u32): u32 {
  return index < mapRegions ? load32(regionMap + index * 4, 0) & 255 : 0;
}

/** The next region of a class from a number on; NONE. */
export function regionNext(cls: u32, from: u32): u32 {
  if (mapRegions === 0) return from <= cls ? cls : L.NONE;
  const end: u32 = load32(control, L.C_REGIONS);
  for (let index: u32 = from; index < end; index++) if (regionClass(index) === cls) return index;
  return L.NONE;
}

/** The ordinal of a region among the regions of its class. */
export function regionOrdinal(index: u32): u32 {
  return mapRegions === 0 ? 0 : load32(regionMap + index * 4, 0) >>> 8;
}

/** The compact of the begin of a region. */
export function regionCompact(index: u32): u32 {
  return mapRegions === 0 ? 0 : (index << (regionShift - 4)) >>> 0;
}

/** Number of chunks of a class, live or free. */
export function chunkCount(info: usize): u32 {
  return (load32(info, L.R_ALLOCATED) / load32(info, L.R_UNITS)) >>> 0;
}

/** Number of chunks of each region of a class. */
export function regionChunks(info: usize): u32 {
  return (load32(info, L.R_REACH) / load32(info, L.R_UNITS)) >>> 0;
}

/** Bytes of the bits for so many chunks, in whole words. */
export function bitsBytes(chunks: u32): u32 {
  return ((chunks + 31) >>> 5) * 4;
}

/** Whether a compact is that of a chunk of the class. */
export function compactIsChunk(cls: u32, compact: u32): bool {
  const info: usize = infoOf(cls);
  let offset: u32 = compact;
  if (mapRegions !== 0) {
    const index: u32 = compact >>> (regionShift - 4);
    if (regionClass(index) !== cls) return false;
    offset = (compact & unitMask) >>> 0;
  }
  return offset < load32(info, L.R_REACH) && offset % load32(info, L.R_UNITS) === 0;
}

/** Adds a region to a class. Returns its number, for its chunks to be made; NONE. */
export function regionAdd(cls: u32): u32 {
  const info: usize = infoOf(cls);
  const made: u32 = (load32(info, L.R_ALLOCATED) / load32(info, L.R_REACH)) >>> 0;
  if (made < load32(info, L.R_REGIONS)) return regionUnmade(cls, made);
  if (!lockAcquire(control + L.C_LOCK)) return L.NONE;
  const index: u32 = arrayEnsure(cls) ? regionMake(cls) : L.NONE;
  lockRelease(control + L.C_LOCK);
  return index;
}

export function regionPages(): u32 {
  return (((1 << regionShift) >>> 0) / pageSize) >>> 0;
}

function regionMake(cls: u32): u32 {
  const info: usize = infoOf(cls);
  const pages: u32 = regionPages();
  const page: u32 = mappingMake(pages, pages);
  if (page === L.NONE) return L.NONE;
  const index: u32 = (page / pages) >>> 0;
  const ordinal: u32 = load32(info, L.R_REGIONS);
  if (ordinal === 0 && seedsByAddress) store32(info, L.R_RAND, unscale(regionAt(index), 12));
  if (index >= load32(control, L.C_REGIONS)) store32(control, L.C_REGIONS, index + 1);
  store32(regionMap + index * 4, 0, ordinal * 256 + cls);
  regionsCount(info, ordinal + 1);
  return index;
}

function regionsCount(info: usize, count: u32): void {
  const meta: u32 = regionChunks(info) * metaUnits;
  store32(info, L.R_MAPPED_USER, count * (userUnits - meta));
  store32(info, L.R_MAPPED_META, count * meta);
  store32(info, L.R_REGIONS, count);
}

/** The region of an ordinal, whose chunks were not made because a thread died before. */
function regionUnmade(cls: u32, ordinal: u32): u32 {
  let index: u32 = regionNext(cls, 0);
  while (index !== L.NONE && regionOrdinal(index) !== ordinal) index = regionNext(cls, index + 1);
  return index;
}

/** Takes a region from its class: pointers into it are not blocks from then on. */
export function regionUnassign(index: u32): void {
  store32(regionMap + index * 4, 0, L.UNASSIGNED);
}

/**
 * Renumbers and counts the regions of a class, after some were taken from it or a thread died while
 * it held the lock. At any moment, exactly the regions whose chunks were made have ordinals below
 * the count of the chunks, old or new: so this can be repeated after a death in here.
 */
export function regionsNumber(cls: u32): void {
  const info: usize = infoOf(cls);
  const reach: u32 = load32(info, L.R_REACH);
  const made: u32 = (load32(info, L.R_ALLOCATED) / reach) >>> 0;
  const kept: u32 = ordinalsWrite(cls, 0, made);
  store32(info, L.R_ALLOCATED, kept * reach);
  regionsCount(info, ordinalsWrite(cls, kept, L.NONE));
}

/**
 * Gives the regions with ordinals from `low` to `high` new ones from `low` on. Returns the next.
 */
function ordinalsWrite(cls: u32, low: u32, high: u32): u32 {
  let next: u32 = low;
  for (let index: u32 = regionNext(cls, 0); index !== L.NONE; index = regionNext(cls, index + 1)) {
    const ordinal: u32 = regionOrdinal(index);
    if (ordinal < low || ordinal >= high) continue;
    store32(regionMap + index * 4, 0, next * 256 + cls);
    next++;
  }
  return next;
}

/**
 * Unmaps all regions that have lost their class, neighbours together. The caller holds the lock of
 * the large blocks, or has taken it over from a thread that died in here.
 */
export function regionsUnmap(): void {
  const end: u32 = load32(control, L.C_REGIONS);
  const pages: u32 = regionPages();
  let from: u32 = 0;
  for (let index: u32 = 0; index <= end; index++) {
    if (index < end && load32(regionMap + index * 4, 0) === L.UNASSIGNED) continue;
    if (from < index) pagesUnmap(from * pages, (index - from) * pages);
    for (; from < index; from++) store32(regionMap + from * 4, 0, 0);
    from = index + 1;
  }
}

/** Spare entries: chunks that were freed twice fit on the array, where a release finds them. */
const SPARE: u32 = 128;

/**
 * Makes space on the free array for the chunks of one more region and their bits, so that a free
 * needs no memory. An array that is too small moves to a range of one and a half times its size.
 */
function arrayEnsure(cls: u32): bool {
  const info: usize = infoOf(cls);
  const needed: u32 = arrayBytesFor(info, load32(info, L.R_REGIONS) + 1);
  const had: u32 = load32(info, L.R_MAPPED_ARRAY);
  if (needed <= had) return true;
  return arrayMove(cls, had, needed + (had >>> 1)) || arrayMove(cls, had, needed);
}

/** Bytes of the free array of so many regions. */
function arrayBytesFor(info: usize, count: u32): u32 {
  const chunks: u32 = count * regionChunks(info);
  return (chunks + SPARE) * 4 + bitsBytes(chunks);
}

/**
 * Unmaps the array of a class without regions, and moves one that is four times too large. The
 * caller holds both locks.
 */
export function arrayFit(cls: u32): void {
  const info: usize = infoOf(cls);
  const had: u32 = load32(info, L.R_MAPPED_ARRAY);
  const count: u32 = load32(info, L.R_REGIONS);
  const needed: u32 = arrayBytesFor(info, count);
  if (count === 0) {
    store32(info, L.R_MAPPED_ARRAY, 0);
    arrayUnmap(arrayAt(cls), had);
  } else if (needed < had >>> 2) {
    arrayMove(cls, had, needed + (needed >>> 1));
  }
}

/** The page before an array stays unused, since chunks may come before it. */
function arrayMove(cls: u32, had: u32, bytes: u32): bool {
  const info: usize = infoOf(cls);
  const pages: u32 = ((bytes + pageSize - 1) / pageSize) >>> 0;
  const page: u32 = mappingMake(pages + 1, 1);
  if (page === L.NONE) return false;
  const before: usize = arrayAt(cls);
  const now: usize = addressOf(page + 1);
  memoryCopy(now, before, load32(info, L.R_FREED) * 4);
  // After a death between these stores the array is at least as large as its count says.
  if (pages * pageSize < had) store32(info, L.R_MAPPED_ARRAY, pages * pageSize);
  store32(info, L.R_ARRAY, now);
  store32(info, L.R_MAPPED_ARRAY, pages * pageSize);
  if (had !== 0) arrayUnmap(before, had);
  return true;
}

function arrayUnmap(array: usize, bytes: u32): void {
  const first: u32 = ((array - large) / pageSize) >>> 0;
  pagesUnmap(first - 1, ((bytes / pageSize) >>> 0) + 1);
}
