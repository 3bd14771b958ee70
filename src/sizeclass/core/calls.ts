/** What users call: the combination of regions and large blocks, and questions about addresses. */
import { load32, memoryCopy, memoryZero, mulOverflows } from "../../core/target/glue.ts";
import { chunkIsNear, chunkPop, chunkPush } from "./cache.ts";
import { classes, classOf, classSize, sizeLast } from "./classes.ts";
import { largeAlloc, largeBegin, largeFree, largeOf, largeUsable } from "./large.ts";
import * as L from "./layout.ts";
import { regionClass } from "./regions.ts";
import { unscale } from "./space.ts";
import {
  baseOf,
  infoOf,
  mapRegions,
  metaUnits,
  pageSize,
  regionAt,
  regionShift,
  space,
  unitMask,
  userUnits,
} from "./state.ts";

/** A block of at least `size` bytes, aligned to 16; 0 = out of memory. */
export function malloc(size: u32): usize {
  if (size > sizeLast) return largeAlloc(size, 16);
  const p: usize = chunkPop(classOf(size));
  return p === 0 ? mallocAbove(size) : p;
}

/**
 * The region is full: a chunk of a larger class, as in Scudo, else a mapping. On demand it was only
 * the lock of the class, which the next one can do without; or there was no region to be had, and
 * none of the others need look for one.
 */
function mallocAbove(size: u32): usize {
  const next: u32 = classOf(size) + 1;
  for (let cls: u32 = next; cls < classes; cls++) {
    if (mapRegions !== 0 && cls !== next && !chunkIsNear(cls)) continue;
    const p: usize = chunkPop(cls);
    if (p !== 0) return p;
  }
  return largeAlloc(size, 16);
}

export function zalloc(size: u32): usize {
  const p: usize = malloc(size);
  if (p !== 0) memoryZero(p, size);
  return p;
}

export function calloc(count: u32, size: u32): usize {
  return mulOverflows(count, size) ? 0 : zalloc(count * size);
}

/**
 * A block at a multiple of `alignment`, a power of two. Sizes that are multiples of it have classes
 * whose chunks are too: a class of 2^k and more is a multiple of 2^k / 2^(bits - 1).
 */
export function memalign(alignment: u32, size: u32): usize {
  if (alignment <= 16) return malloc(size);
  const whole: u32 = ((size + alignment - 1) & ~(alignment - 1)) >>> 0;
  if (size > sizeLast || whole > sizeLast || alignment > pageSize)
    return largeAlloc(size, alignment);
  const p: usize = chunkPop(classOf(whole === 0 ? alignment : whole));
  return p === 0 ? largeAlloc(size, alignment) : p;
}

/** Frees a block of ours, or null, which lies in region 0 where the space begins at 0. */
export function free(p: usize): void {
  const index: u32 = unscale(p - space, regionShift);
  const cls: u32 = mapRegions === 0 ? index : regionClass(index);
  if (cls !== 0 && cls < classes) chunkPush(cls, ((p - baseOf(cls)) / 16) >>> 0);
  else if (p !== 0) freeLarge(p);
}

/** Frees what is a block, and says what else p is: a PTR_ of layout.ts. */
export function freeChecked(p: usize): u32 {
  if (p === 0) return L.PTR_GOOD;
  const index: u32 = unscale(p - space, regionShift);
  const cls: u32 = mapRegions === 0 ? index : regionClass(index);
  if (cls >= classes) return freeLarge(p);
  const info: usize = infoOf(cls);
  const offset: usize = p - baseOf(cls);
  const compact: u32 = (offset / 16) >>> 0;
  const unit: u32 = (compact & unitMask) >>> 0;
  if (unit >= load32(info, L.R_REACH)) return freeLarge(p);
  if (unit % load32(info, L.R_UNITS) !== 0 || compact * 16 !== offset) return L.PTR_INTERIOR;
  chunkPush(cls, compact);
  return L.PTR_GOOD;
}

function freeLarge(p: usize): u32 {
  const what: u32 = pointerLarge(p);
  if (what !== L.PTR_GOOD || largeFree(largeOf(p))) return what;
  return L.PTR_FOREIGN;
}

/** What p is. A free chunk counts as a block: nothing here says that it is none. */
export function pointerCheck(p: usize): u32 {
  const index: u32 = unscale(p - space, regionShift);
  const cls: u32 = mapRegions === 0 ? index : regionClass(index);
  if (cls >= classes) return pointerLarge(p);
  const offset: usize = p - baseOf(cls);
  const compact: u32 = (offset / 16) >>> 0;
  const unit: u32 = (compact & unitMask) >>> 0;
  if (unit >= load32(infoOf(cls), L.R_REACH)) return pointerLarge(p);
  if (unit % load32(infoOf(cls), L.R_UNITS) !== 0) return L.PTR_INTERIOR;
  return compact * 16 === offset ? L.PTR_GOOD : L.PTR_INTERIOR;
}

function pointerLarge(p: usize): u32 {
  const head: usize = largeOf(p);
  if (head === 0) return L.PTR_FOREIGN;
  return largeBegin(head) === p ? L.PTR_GOOD : L.PTR_INTERIOR;
}

/** Class of the region that p lies in, also where nothing is mapped; 0 = none. */
export function classAt(p: usize): u32 {
  const index: u32 = unscale(p - space, regionShift);
  const cls: u32 = mapRegions === 0 ? index : regionClass(index);
  return cls < classes ? cls : 0;
}

/** Where the block that has p begins, free or not; 0 for what is mapped for no chunk. */
export function blockBegin(p: usize): usize {
  const cls: u32 = classAt(p);
  if (cls === 0) return largeBlock(p);
  const info: usize = infoOf(cls);
  const units: u32 = load32(info, L.R_UNITS);
  const region: usize = regionAt(unscale(p - space, regionShift));
  const begin: u32 = (((p - region) / 16 / units) >>> 0) * units;
  return begin < load32(info, L.R_REACH) ? region + begin * 16 : 0;
}

function largeBlock(p: usize): usize {
  const head: usize = largeOf(p);
  return head === 0 ? 0 : largeBegin(head);
}

/** Bytes that the block at p holds; 0 for null. */
export function usableSize(p: usize): u32 {
  const cls: u32 = classAt(p);
  if (cls !== 0) return load32(infoOf(cls), L.R_UNITS) * 16;
  const head: usize = largeOf(p);
  return head === 0 ? 0 : largeUsable(head);
}

/** What usableSize of a fresh block will be. */
export function goodSize(size: u32): u32 {
  if (size <= sizeLast) return classSize(size === 0 ? 1 : classOf(size));
  return (((size + pageSize - 1) / pageSize) >>> 0) * pageSize;
}

/** Where the metadata of the block that has p is; 0 where there is none. */
export function metaOf(p: usize): usize {
  const cls: u32 = classAt(p);
  if (cls === 0) return largeMeta(p);
  if (metaUnits === 0 || blockBegin(p) === 0) return 0;
  const region: usize = regionAt(unscale(p - space, regionShift));
  const chunk: u32 = ((p - region) / 16 / load32(infoOf(cls), L.R_UNITS)) >>> 0;
  return region + userUnits * 16 - (chunk + 1) * metaUnits * 16;
}

function largeMeta(p: usize): usize {
  const head: usize = largeOf(p);
  return head === 0 ? 0 : head + 16;
}

/**
 * Resizes a block: in place where its class or its pages stay the same. 0 = out of memory, and p
 * is as it was.
 */
export function realloc(p: usize, size: u32): usize {
  if (p === 0) return malloc(size);
  const has: u32 = usableSize(p);
  if (size <= has && goodSize(size) === has) return p;
  const to: usize = malloc(size);
  if (to === 0) return 0;
  memoryCopy(to, p, size < has ? size : has);
  free(p);
  return to;
}
