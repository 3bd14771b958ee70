/**
 * The chunks of one class, and the array of those that are free. LLVM's SizeClassAllocator64, with
 * one change of order: what does not fit is refused before anything is mapped.
 *
 * The callers hold the lock of the class. Every function makes its change valid by its last store:
 * a thread that dies before it loses chunks, but no chunk is ever free twice.
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
 * Takes n chunks from the free array, after making those that are missing. Returns the index of the
 * first one: all n can be read from the array until the lock is released. NONE = the class is full.
 */
export function chunksTake(cls: u32, n: u32): u32 {
  const info: usize = infoOf(cls);
  if (atomicLoad(info, L.R_LATE) !== 0) lateListTake(cls);
  const freed: u32 = load32(info, L.R_FREED);
  if (freed < n && !populate(cls, n - freed)) return L.NONE;
  const left: u32 = load32(info, L.R_FREED) - n;
  store32(info, L.R_FREED, left);
  store32(info, L.R_ALLOCS, load32(info, L.R_ALLOCS) + n);
  return left;
}

/**
 * Maps space for n entries after the free array, to be written before `chunksReturn`. Returns false
 * if the array cannot hold so many: then some chunks were returned twice.
 */
export function chunksReserve(cls: u32, n: u32): bool {
  const info: usize = infoOf(cls);
  return arrayMap(cls, load32(info, L.R_FREED) + n, bitsBytes(chunkCount(info)));
}

export function chunksReturn(cls: u32, n: u32): void {
  const info: usize = infoOf(cls);
  store32(info, L.R_FREED, load32(info, L.R_FREED) + n);
  store32(info, L.R_FREES, load32(info, L.R_FREES) + n);
}

/**
 * Puts at least `wanted` new chunks on the free array. It has space for every chunk, so that a free
 * needs no memory.
 */
function populate(cls: u32, wanted: u32): bool {
  return mapRegions === 0 ? populateOwn(cls, wanted) : populateMore(cls, wanted);
}

/** Adds regions, and all chunks of each. */
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

/** Extends the one region of the class, and makes all chunks that fit in what is mapped. */
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

/** The division comes first, because the product may exceed 32 bits. */
function metaFits(chunks: u32, space: u32): bool {
  if (metaUnits === 0) return true;
  return chunks <= (space / metaUnits) >>> 0 && granules(chunks * metaUnits) <= space;
}

/** Units rounded up to whole granules. */
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
 * Maps the free array for `count` entries, without the space of the bits. On demand the array got
 * space for every chunk when its region was added.
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

/** Appends the `total` chunks before `end`, the lowest one last, or in a random order. */
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

/** Repairs the count after a death between the two stores above: what is on the array was made. */
export function chunksMend(cls: u32): void {
  const info: usize = infoOf(cls);
  const freed: u32 = load32(info, L.R_FREED);
  let end: u32 = load32(info, L.R_ALLOCATED);
  for (let i: u32 = 0; i < freed; i++) {
    const through: u32 = unitsThrough(cls, load32(arrayAt(cls) + i * 4, 0));
    if (through > end) end = through;
  }
  store32(info, L.R_ALLOCATED, end);
  if (mapRegions === 0) store32(info, L.R_REACH, end);
}

/** The least that R_ALLOCATED is if this chunk was made. */
function unitsThrough(cls: u32, compact: u32): u32 {
  const info: usize = infoOf(cls);
  if (mapRegions === 0) return compact + load32(info, L.R_UNITS);
  const index: u32 = compact >>> (regionShift - 4);
  return regionClass(index) === cls ? (regionOrdinal(index) + 1) * load32(info, L.R_REACH) : 0;
}

/** Shuffles `count` words (Fisher and Yates). Returns the state of the generator. */
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
 * Puts a chunk on the late list: for a thread that did not get the lock. The link is the first word
 * of the chunk, which a write after free can damage: therefore not every free goes this way.
 */
export function lateListPush(cls: u32, compact: u32): void {
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
 * Moves the late list to the free array, one chunk at a time, so that a death loses only one. Other
 * threads push meanwhile, but only the holder of the lock takes: if the first chunk is unchanged,
 * so is its link. A link that was overwritten ends the list, and the chunks after it are lost.
 * Links are cleared as they are followed, because a chunk that was pushed twice makes a cycle.
 */
function lateListTake(cls: u32): void {
  const info: usize = infoOf(cls);
  let link: u32 = atomicLoad(info, L.R_LATE);
  while (link !== 0 && chunksReserve(cls, 1)) {
    const good: bool = compactIsChunk(cls, link - 1);
    const p: usize = baseOf(cls) + (link - 1) * 16;
    const next: u32 = good ? load32(p, 0) : 0;
    if (atomicCas(info, L.R_LATE, link, next) && good) {
      store32(p, 0, 0);
      store32(arrayAt(cls) + load32(info, L.R_FREED) * 4, 0, link - 1);
      chunksReturn(cls, 1);
    }
    link = atomicLoad(info, L.R_LATE);
  }
}
