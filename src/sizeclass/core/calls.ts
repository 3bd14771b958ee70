/** The calls of users: allocation from regions or large blocks, and queries about addresses. */
import { load32, memoryCopy, memoryZero, mulOverflows } from "../../core/target/glue.ts";
import { chunkIsLikely, chunkPop, chunkPush } from "./cache.ts";
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

/** Allocates at least `size` bytes, aligned to 16; 0 = out of memory. */
export function malloc(size: u32): usize {
  if (size > sizeLast) return largeAlloc(size, 16);
  const p: usize = chunkPop(classOf(size));
  return p === 0 ? mallocAbove(size) : p;
}

/**
 * The class is full: takes a chunk of a larger class, as in Scudo, else a mapping. On demand either
 * its lock was held, which the next class does not need, or there was no region: then the classes
 * after the next are tried only if they may have a chunk already.
 */
function mallocAbove(size: u32): usize {
  const next: u32 = classOf(size) + 1;
  for (let cls: u32 = next; cls < classes; cls++) {
    if (mapRegions !== 0 && cls !== next && !chunkIsLikely(cls)) continue;
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
 * Allocates at a multiple of `alignment`, a power of two. If the size is a multiple of it, so are
 * the chunks of its class: classes from 2^k on are multiples of 2^k / 2^(bits - 1).
 */
export function memalign(alignment: u32, size: u32): usize {
  if (alignment <= 16) return malloc(size);
  const whole: u32 = ((size + alignment - 1) & ~(alignment - 1)) >>> 0;
  if (size > sizeLast || whole > sizeLast || alignment > pageSize)
    return largeAlloc(size, alignment);
  const p: usize = chunkPop(classOf(whole === 0 ? alignment : whole));
  return p === 0 ? largeAlloc(size, alignment) : p;
}

/** Frees a block or null, which is in the unused region 0 where the space begins at 0. */
export function free(p: usize): void {
  const index: u32 = unscale(p - space, regionShift);
  const cls: u32 = mapRegions === 0 ? index : regionClass(index);
  if (cls !== 0 && cls < classes) chunkPush(cls, ((p - baseOf(cls)) / 16) >>> 0);
  else if (p !== 0) freeLarge(p);
}

/** Frees p if it is a block. Returns what it is: a PTR_ of layout.ts. */
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
  const found: u32 = pointerLarge(p);
  if (found !== L.PTR_GOOD || largeFree(largeOf(p))) return found;
  return L.PTR_FOREIGN;
}

/** What p is: a PTR_ of layout.ts. A free chunk counts as a block: nothing marks it as free. */
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

/** Class of the region that contains p, mapped or not; 0 = none. */
export function classAt(p: usize): u32 {
  const index: u32 = unscale(p - space, regionShift);
  const cls: u32 = mapRegions === 0 ? index : regionClass(index);
  return cls < classes ? cls : 0;
}

/** Start of the block, live or free, that contains p; 0 if none does. */
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

/** Bytes that the block at p can hold; 0 for null. */
export function usableSize(p: usize): u32 {
  const cls: u32 = classAt(p);
  if (cls !== 0) return load32(infoOf(cls), L.R_UNITS) * 16;
  const head: usize = largeOf(p);
  return head === 0 ? 0 : largeUsable(head);
}

/** What usableSize of a new block for `size` bytes is. */
export function goodSize(size: u32): u32 {
  if (size <= sizeLast) return classSize(size === 0 ? 1 : classOf(size));
  return (((size + pageSize - 1) / pageSize) >>> 0) * pageSize;
}

/** Address of the metadata of the block that contains p; 0 if it has none. */
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
 * Resizes a block, in place where its class or its number of pages stays the same. 0 = out of
 * memory: then p is as it was.
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
