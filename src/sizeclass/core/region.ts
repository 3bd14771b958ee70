/**
 * Regions: the chunks of one class, and the array of those that are free. LLVM's
 * SizeClassAllocator64, with one order turned round: what does not fit is refused before anything
 * is mapped.
 *
 * The callers hold the region's lock. Every function writes the word that makes a change count as
 * its last act: whoever dies before loses chunks, but none is ever free twice.
 */
import { atomicCas, atomicLoad } from "../../core/target/atomics.ts";
import { load32, mul32, store32 } from "../../core/target/glue.ts";
import * as L from "./layout.ts";
import {
  bitsBytes,
  chunkCount,
  compactIsChunk,
  regionAdd,
  regionClass,
  regionOrdinal,
} from "./regions.ts";
import { alignUp, spaceMap, unscale } from "./space.ts";
import {
  arrayAt,
  arrayBytes,
  baseOf,
  granule,
  infoOf,
  mapRegions,
  metaUnits,
  regionAt,
  regionShift,
  seedsByAddress,
  shuffles,
  userUnits,
} from "./state.ts";

/**
 * Takes n chunks from the free array, of which some may have to be made. Answers the index of the
 * first one in the array, where all n stay to be read until the lock is left; NONE = region full.
 */
export function chunksTake(cls: u32, n: u32): u32 {
  const info: usize = infoOf(cls);
  if (atomicLoad(info, L.R_LATE) !== 0) lateTake(cls);
  const freed: u32 = load32(info, L.R_FREED);
  if (freed < n && !populate(cls, n - freed)) return L.NONE;
  const left: u32 = load32(info, L.R_FREED) - n;
  store32(info, L.R_FREED, left);
  store32(info, L.R_ALLOCS, load32(info, L.R_ALLOCS) + n);
  return left;
}

/**
 * Makes room for n entries behind the free array, to be written there before `chunksGive`. False:
 * there would be more than the array can hold, so some were given back twice.
 */
export function chunksRoom(cls: u32, n: u32): bool {
  const info: usize = infoOf(cls);
  return arrayMap(cls, load32(info, L.R_FREED) + n, bitsBytes(chunkCount(info)));
}

export function chunksGive(cls: u32, n: u32): void {
  const info: usize = infoOf(cls);
  store32(info, L.R_FREED, load32(info, L.R_FREED) + n);
  store32(info, L.R_FREES, load32(info, L.R_FREES) + n);
}

/**
 * Puts at least `wanted` new chunks on the free array, which has a place for every chunk there is,
 * so that a free needs no memory.
 */
function populate(cls: u32, wanted: u32): bool {
  return mapRegions === 0 ? populateOwn(cls, wanted) : populateMore(cls, wanted);
}

/** From more regions, all that each holds. */
function populateMore(cls: u32, wanted: u32): bool {
  const info: usize = infoOf(cls);
  const reach: u32 = load32(info, L.R_REACH);
  const total: u32 = (reach / load32(info, L.R_UNITS)) >>> 0;
  for (let made: u32 = 0; made < wanted; made += total) {
    const index: u32 = regionAdd(cls);
    if (index === L.NONE) return false;
    const begin: u32 = (index << (regionShift - 4)) >>> 0;
    chunksAppend(cls, begin + reach, total);
  }
  return true;
}

/** From the one region of the class, all that fit in what is mapped. */
function populateOwn(cls: u32, wanted: u32): bool {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const begin: u32 = load32(info, L.R_ALLOCATED);
  if (wanted > ((userUnits - begin) / units) >>> 0) return false;
  const had: u32 = load32(info, L.R_MAPPED_USER);
  const end: u32 = begin + wanted * units;
  const user: u32 = end > had ? granules(end) : had;
  const total: u32 = ((user - begin) / units) >>> 0;
  const chunks: u32 = chunkCount(info) + total;
  if (user > userUnits || !metaFits(chunks, userUnits - user)) return false;
  const meta: u32 = granules(chunks * metaUnits);
  if (!arrayMap(cls, chunks, bitsBytes(chunks))) return false;
  if (!userMap(cls, had, user) || !metaMap(cls, meta)) return false;
  chunksAppend(cls, chunks * units, total);
  store32(info, L.R_REACH, chunks * units);
  return true;
}

/** In this order, because the product may be more than 32 bits hold. */
function metaFits(chunks: u32, room: u32): bool {
  if (metaUnits === 0) return true;
  return chunks <= (room / metaUnits) >>> 0 && granules(chunks * metaUnits) <= room;
}

/** Units in whole granules. */
function granules(units: u32): u32 {
  const less: u32 = (granule >>> 4) - 1;
  return ((units + less) & ~less) >>> 0;
}

function userMap(cls: u32, had: u32, wanted: u32): bool {
  const info: usize = infoOf(cls);
  if (wanted === had) return true;
  const begin: usize = regionAt(cls);
  if (had === 0 && seedsByAddress) store32(info, L.R_RAND, unscale(begin, 12));
  if (spaceMap(begin + had * 16, (wanted - had) * 16) !== L.MAP_DONE) return false;
  store32(info, L.R_MAPPED_USER, wanted);
  return true;
}

/** Metadata grows towards the chunks. */
function metaMap(cls: u32, wanted: u32): bool {
  const info: usize = infoOf(cls);
  const had: u32 = load32(info, L.R_MAPPED_META);
  if (wanted <= had) return true;
  const at: usize = arrayAt(cls) - wanted * 16;
  if (spaceMap(at, (wanted - had) * 16) !== L.MAP_DONE) return false;
  store32(info, L.R_MAPPED_META, wanted);
  return true;
}

/**
 * Has room for `count` entries mapped, and leaves the bits theirs. On demand there is room for
 * every chunk since its region came.
 */
function arrayMap(cls: u32, count: u32, bits: u32): bool {
  const info: usize = infoOf(cls);
  if (mapRegions !== 0) return count * 4 + bits <= load32(info, L.R_MAPPED_ARRAY);
  if (count > (arrayBytes - bits) >>> 2) return false;
  const had: u32 = load32(info, L.R_MAPPED_ARRAY);
  if (count * 4 <= had) return true;
  const wanted: u32 = alignUp(count * 4, granule);
  if (spaceMap(arrayAt(cls) + had, wanted - had) !== L.MAP_DONE) return false;
  store32(info, L.R_MAPPED_ARRAY, wanted);
  return true;
}

/** The `total` chunks before `end`, the lowest one last, or in an order of chance. */
function chunksAppend(cls: u32, end: u32, total: u32): void {
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const freed: u32 = load32(info, L.R_FREED);
  const at: usize = arrayAt(cls) + freed * 4;
  let compact: u32 = end;
  for (let i: u32 = 0; i < total; i++) {
    compact -= units;
    store32(at + i * 4, 0, compact);
  }
  if (shuffles) store32(info, L.R_RAND, shuffle(at, total, load32(info, L.R_RAND)));
  store32(info, L.R_FREED, freed + total);
  store32(info, L.R_ALLOCATED, load32(info, L.R_ALLOCATED) + total * units);
}

/** After a death between the two stores above: what is on the array was made. */
export function chunksMend(cls: u32): void {
  const info: usize = infoOf(cls);
  const freed: u32 = load32(info, L.R_FREED);
  let end: u32 = load32(info, L.R_ALLOCATED);
  for (let i: u32 = 0; i < freed; i++) {
    const behind: u32 = unitsBehind(cls, load32(arrayAt(cls) + i * 4, 0));
    if (behind > end) end = behind;
  }
  store32(info, L.R_ALLOCATED, end);
  if (mapRegions === 0) store32(info, L.R_REACH, end);
}

/** How many units of chunks a class has at least, if it has this one. */
function unitsBehind(cls: u32, compact: u32): u32 {
  const info: usize = infoOf(cls);
  if (mapRegions === 0) return compact + load32(info, L.R_UNITS);
  const index: u32 = compact >>> (regionShift - 4);
  return regionClass(index) === cls ? (regionOrdinal(index) + 1) * load32(info, L.R_REACH) : 0;
}

/** Fisher and Yates over `count` words, from a linear congruential generator; its last state. */
export function shuffle(at: usize, count: u32, seed: u32): u32 {
  let state: u32 = seed;
  for (let i: u32 = count; i > 1; i--) {
    state = (mul32(state, 1103515245) + 12345) >>> 0;
    const p: usize = at + (i - 1) * 4;
    const q: usize = at + ((state >>> 16) % i) * 4;
    const word: u32 = load32(p, 0);
    store32(p, 0, load32(q, 0));
    store32(q, 0, word);
  }
  return state;
}

/**
 * Pushes a chunk for the next holder of the lock to take: for whoever could not have it. A chunk's
 * first word is the link, which is why this is not the way of every free.
 */
export function latePush(cls: u32, compact: u32): void {
  const info: usize = infoOf(cls);
  const p: usize = baseOf(cls) + compact * 16;
  let first: u32 = atomicLoad(info, L.R_LATE);
  store32(p, 0, first);
  while (!atomicCas(info, L.R_LATE, first, compact + 1)) {
    first = atomicLoad(info, L.R_LATE);
    store32(p, 0, first);
  }
}

/**
 * One at a time: whoever dies has only that one. Others push meanwhile, but only the lock's holder
 * takes off, so that a first one that is the same has the same behind it. A link that was
 * overwritten ends the list: the chunks behind it are lost. Links go as they are followed, or a
 * chunk that was pushed twice would make a circle of the list.
 */
function lateTake(cls: u32): void {
  const info: usize = infoOf(cls);
  let link: u32 = atomicLoad(info, L.R_LATE);
  while (link !== 0 && chunksRoom(cls, 1)) {
    const good: bool = compactIsChunk(cls, link - 1);
    const p: usize = baseOf(cls) + (link - 1) * 16;
    const next: u32 = good ? load32(p, 0) : 0;
    if (atomicCas(info, L.R_LATE, link, next) && good) {
      store32(p, 0, 0);
      store32(arrayAt(cls) + load32(info, L.R_FREED) * 4, 0, link - 1);
      chunksGive(cls, 1);
    }
    link = atomicLoad(info, L.R_LATE);
  }
}
