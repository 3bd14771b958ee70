/**
 * Large blocks: each has a mapping of its own, with its head in the page before the block. Bitmaps
 * record which pages are in mappings and where mappings begin, so the mapping of any address is
 * found by a search backwards, and the head is not needed to tell that there is a block.
 */
import { atomicCas, atomicLoad } from "../../core/target/atomics.ts";
import { errorRaise, leadingZeros, load32, store32 } from "../../core/target/glue.ts";
import * as L from "./layout.ts";
import { lockAcquire, lockRelease } from "./lock.ts";
import { alignUp, spaceMap, spaceUnmap } from "./space.ts";
import { control, large, largePages, largeStarts, largeUsed, pageSize } from "./state.ts";

/** Allocates a block with its own mapping, aligned to at least a page; 0 = out of memory. */
export function largeAlloc(size: u32, alignment: u32): usize {
  if (size > L.SIZE_MAX) return largeFail(size);
  const more: u32 = alignment > pageSize ? (alignment / pageSize) >>> 0 : 0;
  const bytes: u32 = size === 0 ? 1 : size;
  const pages: u32 = pagesOf(bytes) + 1 + more;
  if (!lockAcquire(control + L.C_LOCK)) return largeFail(size);
  lateListUnmap();
  const page: u32 = mappingMake(pages, 1);
  const p: usize = page === L.NONE ? 0 : headWrite(page, pages, bytes, alignment);
  lockRelease(control + L.C_LOCK);
  return p === 0 ? largeFail(size) : p;
}

function largeFail(size: u32): usize {
  errorRaise(L.OUT_OF_MEMORY, size);
  return 0;
}

function pagesOf(size: u32): u32 {
  return ((size + pageSize - 1) / pageSize) >>> 0;
}

/**
 * Maps and marks free pages, from a multiple of `alignment` pages on. Returns the first one; NONE.
 * The caller holds the lock. The host may mark other pages while it maps.
 */
export function mappingMake(pages: u32, alignment: u32): u32 {
  let page: u32 = runFind(pages, alignment);
  let result: u32 = L.MAP_ELSEWHERE;
  while (page !== L.NONE && result === L.MAP_ELSEWHERE) {
    result = spaceMap(addressOf(page), pages * pageSize);
    if (result === L.MAP_ELSEWHERE) page = runFind(pages, alignment);
  }
  if (page === L.NONE || result !== L.MAP_DONE) return L.NONE;
  largeMark(page, pages, true);
  if (page === load32(control, L.C_LOW)) store32(control, L.C_LOW, page + pages);
  return page;
}

export function addressOf(page: u32): usize {
  return large + page * pageSize;
}

/** The lowest run of so many free pages from a multiple of `alignment` on; NONE. */
function runFind(count: u32, alignment: u32): u32 {
  const bits: usize = largeUsed();
  let page: u32 = load32(control, L.C_LOW);
  let run: u32 = 0;
  while (page < largePages) {
    const word: u32 = load32(bits + (page >>> 5) * 4, 0);
    if (word === 0xffffffff) {
      run = 0;
      page = ((page >>> 5) + 1) * 32;
    } else if (word === 0 && (page & 31) === 0) {
      run += 32;
      page += 32;
    } else {
      run = ((word >>> (page & 31)) & 1) === 0 ? run + 1 : 0;
      page++;
    }
    if (run >= count) {
      const first: u32 = alignUp(page - run, alignment);
      if (page >= first + count) return first;
    }
  }
  return L.NONE;
}

/** Marks pages as taken or free; the host also marks pages that are not ours. */
export function largeMark(page: u32, count: u32, taken: bool): void {
  const bits: usize = largeUsed();
  for (let i: u32 = page; i < page + count; i++) bitPut(bits, i, taken);
}

function bitPut(bits: usize, i: u32, on: bool): void {
  const at: usize = bits + (i >>> 5) * 4;
  const bit: u32 = (1 << (i & 31)) >>> 0;
  const word: u32 = load32(at, 0);
  store32(at, 0, on ? (word | bit) >>> 0 : (word & ~bit) >>> 0);
}

function headWrite(page: u32, pages: u32, size: u32, alignment: u32): usize {
  const head: usize = addressOf(page);
  const p: usize = alignUp(head + pageSize, alignment > pageSize ? alignment : pageSize);
  store32(head, L.H_PAGES, pages);
  store32(head, L.H_SIZE, size);
  store32(head, L.H_OFFSET, ((p - head) / 16) >>> 0);
  for (let at: u32 = 16; at < 32; at += 4) store32(head + at, 0, 0);
  bitPut(largeStarts(), page, true);
  countAdd(L.C_LARGE_ALLOCS, 1);
  countAdd(L.C_LARGE_PAGES, pages);
  countAdd(L.C_LARGE_LOGS + (31 - leadingZeros(pages * pageSize)) * 4, 1);
  const now: u32 = load32(control, L.C_LARGE_PAGES);
  if (now > load32(control, L.C_LARGE_PEAK)) store32(control, L.C_LARGE_PEAK, now);
  return p;
}

function countAdd(offset: u32, n: u32): void {
  store32(control + offset, 0, (load32(control + offset, 0) + n) >>> 0);
}

/**
 * Unmaps the mapping that begins at `head`, or puts it on the late list, for the next thread that
 * holds the lock. Returns false if another thread has unmapped it.
 */
export function largeFree(head: usize): bool {
  const page: u32 = ((head - large) / pageSize) >>> 0;
  if (!lockAcquire(control + L.C_LOCK)) {
    lateListPush(head, page);
    return true;
  }
  const begins: bool = mappingBegins(page);
  if (begins) mappingEnd(page);
  lockRelease(control + L.C_LOCK);
  return begins;
}

function mappingBegins(page: u32): bool {
  if (page >= largePages) return false;
  return ((load32(largeStarts() + (page >>> 5) * 4, 0) >>> (page & 31)) & 1) !== 0;
}

function mappingEnd(page: u32): void {
  const head: usize = addressOf(page);
  const pages: u32 = load32(head, L.H_PAGES);
  bitPut(largeStarts(), page, false);
  pagesUnmap(page, pages);
  countAdd(L.C_LARGE_FREES, 1);
  countAdd(L.C_LARGE_PAGES, -pages);
}

/** Unmaps a mapping without a head; the caller holds the lock. */
export function pagesUnmap(page: u32, pages: u32): void {
  spaceUnmap(addressOf(page), pages * pageSize);
  largeMark(page, pages, false);
  if (page < load32(control, L.C_LOW)) store32(control, L.C_LOW, page);
}

/** Puts a mapping on the late list. */
function lateListPush(head: usize, page: u32): void {
  let first: u32 = atomicLoad(control, L.C_LATE);
  store32(head, L.H_LINK, first);
  while (!atomicCas(control, L.C_LATE, first, page + 1)) {
    first = atomicLoad(control, L.C_LATE);
    store32(head, L.H_LINK, first);
  }
}

/**
 * Unmaps the late list, one mapping at a time, as `lateListTake` does. A block that was freed twice
 * makes a cycle of links: the list ends where no mapping begins any more.
 */
function lateListUnmap(): void {
  let link: u32 = atomicLoad(control, L.C_LATE);
  while (link !== 0) {
    const page: u32 = link - 1;
    const begins: bool = mappingBegins(page);
    const next: u32 = begins ? load32(addressOf(page), L.H_LINK) : 0;
    if (atomicCas(control, L.C_LATE, link, next) && begins) mappingEnd(page);
    link = atomicLoad(control, L.C_LATE);
  }
}

/**
 * Recomputes the counters after a thread died while it held the lock, which the caller has taken
 * over. Pages that it had marked without a mapping stay marked, since pages that other code grew
 * look alike.
 */
export function largeMend(): void {
  let blocks: u32 = 0;
  let pages: u32 = 0;
  let head: usize = largeBefore(addressOf(largePages) - 1);
  while (head !== 0) {
    blocks++;
    pages += load32(head, L.H_PAGES);
    head = head === large ? 0 : largeBefore(head - 1);
  }
  store32(control, L.C_LOW, 0);
  store32(control, L.C_LARGE_PAGES, pages);
  store32(control, L.C_LARGE_ALLOCS, (load32(control, L.C_LARGE_FREES) + blocks) >>> 0);
}

/** Head of the mapping that contains p, or 0. */
export function largeOf(p: usize): usize {
  const head: usize = largeBefore(p);
  if (head === 0) return 0;
  return p - head < load32(head, L.H_PAGES) * pageSize ? head : 0;
}

/** Head of the last mapping that begins at p's page or before, or 0. */
export function largeBefore(p: usize): usize {
  if (p < large || largePages === 0) return 0;
  const page: u32 = ((p - large) / pageSize) >>> 0;
  const begin: u32 = bitBack(largeStarts(), page < largePages ? page : largePages - 1);
  return begin === L.NONE ? 0 : addressOf(begin);
}

/** Index of the last bit, up to `from`, that is set; NONE. */
function bitBack(bits: usize, from: u32): u32 {
  let at: u32 = from >>> 5;
  let word: u32 = (load32(bits + at * 4, 0) << (31 - (from & 31))) >>> 0;
  if (word !== 0) return from - leadingZeros(word);
  while (at !== 0) {
    at--;
    word = load32(bits + at * 4, 0);
    if (word !== 0) return at * 32 + 31 - leadingZeros(word);
  }
  return L.NONE;
}

export function largeBegin(head: usize): usize {
  return head + load32(head, L.H_OFFSET) * 16;
}

/** Whole pages: a block has everything from its begin to the end of its mapping. */
export function largeUsable(head: usize): u32 {
  return pagesOf(load32(head, L.H_SIZE)) * pageSize;
}
