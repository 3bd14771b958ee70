/** The globals of an instance: where everything is, and which cache it uses. */
import { load32 } from "../../core/target/glue.ts";
import * as L from "./layout.ts";
import { scale } from "./space.ts";

export let space: usize = 0;
export let control: usize = 0;
export let large: usize = 0;
export let regionShift: u32 = 0;
/** Masks a compact to its offset in the region. */
export let unitMask: u32 = 0xffffffff;
/** Units of a region before its free array, and bytes of that. */
export let userUnits: u32 = 0;
export let arrayBytes: u32 = 0;
/** Units of metadata a chunk. */
export let metaUnits: u32 = 0;
export let granule: u32 = 0;
export let pageSize: u32 = 0;
/** Pages that large blocks may be in, used or not: a multiple of 32. */
export let largePages: u32 = 0;
/** Whether new chunks are shuffled, and whether from a seed made of the address. */
export let shuffles: bool = false;
export let seedsByAddress: bool = false;
/** Whether releases omit the last range. */
export let keepsLast: bool = false;

/** Number of classes rounded up, with class 0: reserved regions, and stacks of a cache. */
export let regions: u32 = 0;
export let threadSlots: u32 = 0;
export let cacheShift: u32 = 0;

/**
 * On demand, a word for each region: its class, plus 256 times its ordinal in the class. Empty
 * where regions are reserved: then the number of a region is its class.
 */
export let regionMap: usize = 0;
export let mapRegions: u32 = 0;

/** This thread's id and cache. */
export let threadId: u32 = 1;
export let cache: usize = 0;
export let cacheStacks: usize = 0;

export function addressesBind(spaceAt: usize, controlAt: usize, largeAt: usize): void {
  space = spaceAt;
  control = controlAt;
  large = largeAt;
}

/** All are in bytes, or base-2 logarithms of bytes. */
export function sizesBind(
  regionLog: u32,
  arrayLog: u32,
  metaSize: u32,
  granuleSize: u32,
  page: u32,
): void {
  regionShift = regionLog;
  const array: u32 = (1 << (regionLog - arrayLog - 4)) >>> 0;
  // Doubled afterwards: 2^32 units of a region of 64 GiB exceed u32, but the difference does not.
  userUnits = ((1 << (regionLog - 5)) >>> 0) * 2 - array;
  arrayBytes = array * 16;
  metaUnits = metaSize >>> 4;
  granule = granuleSize;
  pageSize = page;
  mapRegions = 0;
  unitMask = 0xffffffff;
}

export function countsBind(regionCount: u32, slotCount: u32, stackShift: u32, pages: u32): void {
  regions = regionCount;
  threadSlots = slotCount;
  cacheShift = stackShift;
  largePages = pages;
}

/** The last of the binds: regions on demand, from the pages of large blocks. */
export function mapBind(regionCount: u32): void {
  regionMap = largeStarts() + (largePages >>> 3);
  mapRegions = regionCount;
  userUnits = (1 << (regionShift - 4)) >>> 0;
  unitMask = userUnits - 1;
}

export function behaviourBind(shuffle: bool, byAddress: bool, keepLast: bool): void {
  shuffles = shuffle;
  seedsByAddress = byAddress;
  keepsLast = keepLast;
}

/** Makes this instance that of a thread, with the cache of a thread slot. */
export function slotBind(id: u32, slot: u32): void {
  threadId = id;
  cache = cacheAt(slot);
  cacheStacks = cache + L.CACHE_HEAD;
}

export function cacheAt(slot: u32): usize {
  return control + L.cachesBegin() + slot * L.cacheSize(regions, cacheShift);
}

/** One bit a page: whether it is in a mapping. */
export function largeUsed(): usize {
  return cacheAt(threadSlots);
}

/** One bit a page: whether a mapping begins there. */
export function largeStarts(): usize {
  return largeUsed() + (largePages >>> 3);
}

/** Address of a region, by its number. */
export function regionAt(index: u32): usize {
  return space + scale(index, regionShift);
}

/** The address that the compacts of a class count from. */
export function baseOf(cls: u32): usize {
  return space + scale(mapRegions === 0 ? cls : 0, regionShift);
}

export function infoOf(cls: u32): usize {
  return control + L.REGIONS + cls * L.REGION_SIZE;
}

export function arrayAt(cls: u32): usize {
  return mapRegions === 0 ? regionAt(cls) + userUnits * 16 : load32(infoOf(cls), L.R_ARRAY);
}
