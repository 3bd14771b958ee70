/** The globals of an instance: where everything lies, and whose cache it uses. */
import { load32 } from "../../core/target/glue.ts";
import * as L from "./layout.ts";
import { scale } from "./space.ts";

export let space: usize = 0;
export let control: usize = 0;
export let large: usize = 0;
export let regionShift: u32 = 0;
/** Leaves of a compact the units in its region. */
export let unitMask: u32 = 0xffffffff;
/** Units of a region before its free array, and bytes of that. */
export let userUnits: u32 = 0;
export let arrayBytes: u32 = 0;
/** Units of metadata a chunk. */
export let metaUnits: u32 = 0;
export let granule: u32 = 0;
export let pageSize: u32 = 0;
/** Pages that large blocks may lie in, used or not: a multiple of 32. */
export let largePages: u32 = 0;
/** Whether populate shuffles, and from what; whether releases leave out the last range. */
export let shuffles: bool = false;
export let seedsByAddress: bool = false;
export let keepsLast: bool = false;

/** Regions, one of them unused, and the classes that there are, with class 0. */
export let regions: u32 = 0;
export let threadSlots: u32 = 0;
export let cacheShift: u32 = 0;

/**
 * A word for each region that may be had on demand: its class, and 256 times how many regions the
 * class had before it. Of no length where each class has one region, that of its number.
 */
export let regionMap: usize = 0;
export let mapRegions: u32 = 0;

/** This thread's number and cache. */
export let threadId: u32 = 1;
export let cache: usize = 0;
export let cacheStacks: usize = 0;

export function addressesBind(spaceAt: usize, controlAt: usize, largeAt: usize): void {
  space = spaceAt;
  control = controlAt;
  large = largeAt;
}

/** All are bytes or logarithms of bytes. */
export function sizesBind(
  regionLog: u32,
  arrayLog: u32,
  metaSize: u32,
  granuleSize: u32,
  page: u32,
): void {
  regionShift = regionLog;
  const array: u32 = (1 << (regionLog - arrayLog - 4)) >>> 0;
  // Doubled afterwards: 2^32 units of a region of 64 GiB are no u32, but fewer are left for chunks.
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

/** After all others: regions on demand, from memory that large blocks lie in too. */
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

/** Works as the thread with this number, from the cache of this thread slot. */
export function slotBind(number: u32, slot: u32): void {
  threadId = number;
  cache = cacheAt(slot);
  cacheStacks = cache + L.CACHE_HEAD;
}

export function cacheAt(slot: u32): usize {
  return control + L.cachesBegin() + slot * L.cacheSize(regions, cacheShift);
}

export function largeUsed(): usize {
  return cacheAt(threadSlots);
}

/** One bit a page: a mapping begins there. */
export function largeStarts(): usize {
  return largeUsed() + (largePages >>> 3);
}

/** Where a region begins: by its number, which is its class unless there is a map. */
export function regionAt(index: u32): usize {
  return space + scale(index, regionShift);
}

/** Where the compacts of a class count from. */
export function baseOf(cls: u32): usize {
  return space + scale(mapRegions === 0 ? cls : 0, regionShift);
}

export function infoOf(cls: u32): usize {
  return control + L.REGIONS + cls * L.REGION_SIZE;
}

export function arrayAt(cls: u32): usize {
  return mapRegions === 0 ? regionAt(cls) + userUnits * 16 : load32(infoOf(cls), L.R_ARRAY);
}
