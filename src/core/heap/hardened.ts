/**
 * malloc, free and the calls close to them of a hardened heap: those of alloc.ts, with checks. A
 * block is prepared (filled, given a record) before the program gets it, and checked before it is
 * freed.
 */

import { featureOn, sizeFull, sizeKept } from "../hard/features.ts";
import { binOf } from "../layout/bins.ts";
import { heapBind } from "../layout/bound-heap.ts";
import { descAt, pageOf } from "../layout/desc.ts";
import { heapId, observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { mediumBlockOf } from "../pages/medium.ts";
import { pageDrop, pageHolds, pagePop, pageTakeFresh } from "../pages/page.ts";
import { queueOf } from "../pages/queue.ts";
import { load32, memoryZero, store32 } from "../target/glue.ts";
import { hostReport } from "../target/glue-hard.ts";
import { blockOf, freeLocal, freeOutside, mallocMedium } from "./blocks.ts";
import { mallocGeneric, mallocLargeAligned } from "./heap.ts";
import { blockIsListed } from "./lists.ts";
import { observeFreed, observeMalloc } from "./observe.ts";
import {
  blockBytes,
  bytesFill,
  recordCheck,
  recordClose,
  recordEnd,
  recordIsFreed,
  recordPointer,
  recordWrite,
} from "./records.ts";

/** Descriptor of the page of a block that is in use. */
function pageAt(p: usize): usize {
  const page: usize = descAt(p);
  return load32(page, L.D_OWNER) !== 0 ? page : pageOf(p);
}

/** Takes a block of `full` bytes. Without the direct table: the checks cost more than it saves. */
function blockTake(full: u32): usize {
  if (full > L.SMALL_MAX) return mallocMedium(full);
  const page: usize = load32(queueOf(binOf(full)), L.Q_FIRST);
  if (page === 0) return mallocGeneric(full);
  const block: usize = load32(page, L.D_FREE) !== 0 ? pagePop(page) : pageTakeFresh(page);
  return block !== 0 ? block : mallocGeneric(full);
}

/** Prepares a block for the program, which gets p. */
export function blockPrepare(block: usize, p: usize, size: usize, zero: bool): void {
  const page: usize = pageAt(block);
  const kept: usize = sizeKept(size);
  const end: usize = block + blockBytes(page, block);
  const bytes: usize = featureOn(L.HARD_RECORD) ? kept : end - p;
  if (zero) blockZero(page, p, bytes);
  else if (featureOn(L.HARD_FILL)) bytesFill(p, L.FILL_FRESH, bytes);
  else if (featureOn(L.HARD_ENCODE)) store32(block, 0, 0);
  if (featureOn(L.HARD_RECORD)) recordWrite(page, block, p, kept);
}

/** Skips the clearing of large blocks that are known to be zero; for others it is cheap. */
function blockZero(page: usize, p: usize, bytes: usize): void {
  const large: bool = (load32(page, L.D_OWNER) & L.FLAG_LARGE) !== 0;
  if (!large || load32(page, L.D_ZERO) === L.ZERO_UNKNOWN) memoryZero(p, bytes);
}

/** Prepares and reports a block of which the program gets the first byte. */
function blockGive(block: usize, size: usize, zero: bool): void {
  blockPrepare(block, block, size, zero);
  if (observing !== 0) observeMalloc(block, size);
}

function allocate(size: usize, full: usize, zero: bool): usize {
  const block: usize = blockTake(full);
  if (block !== 0) blockGive(block, size, zero);
  return block;
}

export function hardMalloc(size: usize): usize {
  return allocate(size, sizeFull(size), false);
}

export function hardZalloc(size: usize): usize {
  return allocate(size, sizeFull(size), true);
}

/** Returns a block for `size` bytes from a page for `full` bytes. */
export function hardMallocOf(size: usize, full: usize): usize {
  return allocate(size, full, false);
}

/** Returns a block of `full` bytes that is not prepared yet. */
export function hardMallocRaw(full: usize): usize {
  return blockTake(full);
}

export function hardMallocLarge(size: usize, alignment: u32): usize {
  const block: usize = mallocLargeAligned(sizeFull(size), alignment);
  if (block !== 0) blockGive(block, size, false);
  return block;
}

/** As pointerCheck; PTR_FREED where a medium page says that the block is free. */
function pointerKind(p: usize): u32 {
  const page: usize = pageOf(p);
  if (page === 0 || !pageHolds(page, p)) return L.PTR_FOREIGN;
  const owner: u32 = load32(page, L.D_OWNER);
  const medium: bool = (owner & L.FLAG_MEDIUM) !== 0;
  if (!medium && p >= load32(page, L.D_FRESH)) return L.PTR_FOREIGN;
  const block: usize = blockOf(page, p);
  if (block === 0) return L.PTR_FREED;
  if ((owner & L.FLAG_ALIGNED) === 0) return block === p ? L.PTR_BLOCK : L.PTR_INTERIOR;
  return featureOn(L.HARD_RECORD) ? recordPointer(page, block, p) : L.PTR_BLOCK;
}

export function hardPointerCheck(p: usize): u32 {
  const kind: u32 = pointerKind(p);
  return kind === L.PTR_FREED ? L.PTR_FOREIGN : kind;
}

function pointerReport(kind: u32, p: usize, call: u32): void {
  if (kind === L.PTR_FREED && featureOn(L.HARD_DOUBLE_FREE)) {
    hostReport(L.REPORT_DOUBLE_FREE, p, 0, 0);
    return;
  }
  if (!featureOn(L.HARD_CHECKED_FREE)) return;
  const aligned: u32 = kind === L.PTR_INTERIOR ? L.REPORT_INTERIOR : L.REPORT_FOREIGN;
  hostReport((p & (L.WORD - 1)) !== 0 ? L.REPORT_UNALIGNED : aligned, p, call, 0);
}

/** Whether a call may proceed with p, as far as checks are on; reports p if not. */
function pointerAdmit(p: usize, call: u32): bool {
  if (!featureOn(L.HARD_CHECKED_FREE)) return true;
  const kind: u32 = pointerKind(p);
  if (kind === L.PTR_BLOCK) return true;
  pointerReport(kind, p, call);
  return false;
}

export function hardFree(p: usize): void {
  if (p !== 0 && pointerAdmit(p, L.CALL_FREE)) blockFree(p);
}

export function hardFreeChecked(p: usize): u32 {
  if (p === 0) return L.PTR_BLOCK;
  const kind: u32 = pointerKind(p);
  if (kind === L.PTR_BLOCK) {
    blockFree(p);
    return L.PTR_BLOCK;
  }
  if (kind !== L.PTR_FREED) return kind;
  if (!featureOn(L.HARD_DOUBLE_FREE)) return L.PTR_FOREIGN;
  pointerReport(kind, p, L.CALL_FREE);
  return L.PTR_BLOCK;
}

/** Start of the block for which the program got p. */
function blockAt(page: usize, p: usize): usize {
  return (load32(page, L.D_OWNER) & L.FLAG_ALIGNED) !== 0 ? blockOf(page, p) : p;
}

function blockFree(p: usize): void {
  const page: usize = pageAt(p);
  if (page === 0 || !mediumIsUsed(page, p)) return;
  const block: usize = blockAt(page, p);
  if (!blockClose(page, block, p)) return;
  observeFreed(p);
  if (featureOn(L.HARD_FILL)) bytesFill(block, L.FILL_FREED, blockEnd(page, block) - block);
  if ((load32(page, L.D_OWNER) & L.FLAG_LARGE) !== 0) pageDrop(page);
  else blockRelease(page, block);
}

/** Gives a block of a small or medium page back to its page, of any owner. */
function blockRelease(page: usize, block: usize): void {
  const owner: u32 = load32(page, L.D_OWNER);
  const heap: usize = (owner & ~L.FLAGS) >>> 0;
  if (heap !== heapId && freeOutside(page, block, owner)) return;
  const was: usize = heapBind(heap);
  freeLocal(page, block);
  heapBind(was);
}

/** One past the last byte that the program may use. */
function blockEnd(page: usize, block: usize): usize {
  return featureOn(L.HARD_RECORD) ? recordEnd(page, block) : block + blockBytes(page, block);
}

/** False, after a report, if p lies in free units of a medium page. */
function mediumIsUsed(page: usize, p: usize): bool {
  if ((load32(page, L.D_OWNER) & L.FLAG_MEDIUM) === 0 || !featureOn(L.HARD_DOUBLE_FREE))
    return true;
  if (mediumBlockOf(page, p) !== 0) return true;
  pointerReport(L.PTR_FREED, p, L.CALL_FREE);
  return false;
}

/** The last check of a block. False, after a report, if it was freed before. */
function blockClose(page: usize, block: usize, p: usize): bool {
  if (featureOn(L.HARD_RECORD)) return recordClose(page, block, p);
  if (!featureOn(L.HARD_DOUBLE_FREE) || !blockIsListed(page, block)) return true;
  twiceReport(page, block);
  return false;
}

function twiceReport(page: usize, block: usize): void {
  const record: u32 = featureOn(L.HARD_RECORD) ? L.RECORD_SIZE : 0;
  hostReport(L.REPORT_DOUBLE_FREE, block, blockBytes(page, block) - record, 0);
}

/** Whether p may be resized. Reports pointers that are not blocks, and freed blocks. */
export function hardAdmits(p: usize): bool {
  if (!pointerAdmit(p, L.CALL_REALLOC)) return false;
  const page: usize = pageAt(p);
  if (page === 0 || !featureOn(L.HARD_DOUBLE_FREE)) return page !== 0;
  if (!mediumIsUsed(page, p)) return false;
  const block: usize = blockAt(page, p);
  const freed: bool = featureOn(L.HARD_RECORD)
    ? recordIsFreed(page, block, p)
    : blockIsListed(page, block);
  if (freed) twiceReport(page, block);
  return !freed;
}

export function hardUsableSize(p: usize): usize {
  if (p === 0) return 0;
  const page: usize = pageOf(p);
  const block: usize = page !== 0 && pageHolds(page, p) ? blockOf(page, p) : 0;
  if (block === 0) {
    pointerReport(L.PTR_FOREIGN, p, L.CALL_USABLE_SIZE);
    return 0;
  }
  const end: usize = blockEnd(page, block);
  return end > p ? end - p : 0;
}

export function hardContains(p: usize): bool {
  const page: usize = pageOf(p);
  return page !== 0 && pageHolds(page, p) && blockOf(page, p) !== 0;
}

/** Keeps the block of p for a new size that fits, and updates the record. */
export function hardRefit(p: usize, size: usize): usize {
  if (!featureOn(L.HARD_RECORD)) return p;
  const page: usize = pageAt(p);
  const block: usize = blockAt(page, p);
  recordCheck(page, block, p);
  recordWrite(page, block, p, size);
  return p;
}

/** Whether blocks may be resized in place: not with a record or a guard behind their end. */
export function hardResizes(): bool {
  return !featureOn(L.HARD_RECORD | L.HARD_GUARD_PAGES);
}
