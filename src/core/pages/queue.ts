/**
 * Page queues, and the direct table. Each bin has a doubly linked list of pages, with the page to
 * allocate from at the front. The direct table leads from a small size to that page without
 * computing the bin.
 *
 * The direct table covers all sizes up to 1 KiB, with an entry for 8 bytes. If it ended earlier,
 * programs would mix sizes on both sides of the end and mispredict the branch.
 */

import { binOf, binSize } from "../layout/bins.ts";
import { heapBase, observing } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { SHARED } from "../target/atomics.ts";
import { load32, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";

/** Q_DIRECT of a queue that has no entries in the direct table. */
const DIRECT_NONE: u32 = 0xffffffff;

export function queueOf(bin: u32): usize {
  return heapBase + L.H_QUEUES + (bin << L.QUEUE_SHIFT);
}

/** Byte offset in the direct table of the entry for a size of at most DIRECT_MAX bytes. */
export function directOffset(size: u32): u32 {
  return ((size + 7) >>> 1) & 0x3fc;
}

/** The page that serves a size of at most DIRECT_MAX bytes, or the empty page. */
export function directPage(size: u32): usize {
  return load32(heapBase + directOffset(size), L.H_DIRECT);
}

export function queuesInit(): void {
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) {
    store32(queueOf(bin), L.Q_BLOCK, bin <= L.BIN_LAST ? binSize(bin) : 0xffffffff);
  }
  for (let bin: u32 = 1; bin < L.BIN_COUNT; bin++) store32(queueOf(bin), L.Q_DIRECT, DIRECT_NONE);
  if (HARDENED) return;
  for (let i: u32 = L.DIRECT_COUNT; i > 0; i--) {
    store32(queueOf(binOf((i - 1) << 3)), L.Q_DIRECT, (i - 1) << 2);
  }
  for (let i: u32 = 0; i < L.DIRECT_COUNT; i++) {
    store32(heapBase + (i << 2), L.H_DIRECT, heapBase + L.H_EMPTY);
  }
}

/** Writes the direct entries of a queue after its first page changed. */
// @cold
function queueDirect(queue: usize): void {
  let offset: u32 = load32(queue, L.Q_DIRECT);
  if (offset === DIRECT_NONE) return;
  const page: usize = directWanted(queue);
  const last: u32 = directOffset(load32(queue, L.Q_BLOCK));
  while (offset <= last) {
    store32(heapBase + offset, L.H_DIRECT, page);
    offset = offset + 4;
  }
}

/**
 * The page for the direct entries of a queue: the empty page while malloc must take the slow path.
 */
function directWanted(queue: usize): usize {
  const first: usize = (observing & L.OBSERVE_SLOW) === 0 ? load32(queue, L.Q_FIRST) : 0;
  return first !== 0 ? first : heapBase + L.H_EMPTY;
}

// @cold
function queueUnlink(queue: usize, page: usize): void {
  const next: usize = load32(page, L.D_NEXT);
  if (SHARED && load32(heapBase, L.H_POLL) === page) store32(heapBase, L.H_POLL, next);
  const prev: usize = load32(page, L.D_PREV);
  if (next !== 0) store32(next, L.D_PREV, prev);
  else store32(queue, L.Q_LAST, prev);
  if (prev !== 0) {
    store32(prev, L.D_NEXT, next);
  } else {
    store32(queue, L.Q_FIRST, next);
    queueDirect(queue);
  }
}

// @cold
function queueLinkFront(queue: usize, page: usize): void {
  const first: usize = load32(queue, L.Q_FIRST);
  store32(page, L.D_NEXT, first);
  store32(page, L.D_PREV, 0);
  if (first !== 0) store32(first, L.D_PREV, page);
  else store32(queue, L.Q_LAST, page);
  store32(queue, L.Q_FIRST, page);
  queueDirect(queue);
}

// @cold
function queueLinkBack(queue: usize, page: usize): void {
  const last: usize = load32(queue, L.Q_LAST);
  store32(page, L.D_NEXT, 0);
  store32(page, L.D_PREV, last);
  store32(queue, L.Q_LAST, page);
  if (last !== 0) {
    store32(last, L.D_NEXT, page);
    return;
  }
  store32(queue, L.Q_FIRST, page);
  queueDirect(queue);
}

/** Puts a new page at the front of its queue. */
export function queuePush(page: usize): void {
  queueLinkFront(queueOf(load32(page, L.D_BIN)), page);
  store32(heapBase, L.H_PAGES, load32(heapBase, L.H_PAGES) + 1);
}

/** Removes a page from its queue, or from the full queue. */
export function queueRemove(page: usize): void {
  queueUnlink(queueNow(page), page);
  store32(heapBase, L.H_PAGES, load32(heapBase, L.H_PAGES) - 1);
}

function queueNow(page: usize): usize {
  const full: bool = (load32(page, L.D_OWNER) & L.FLAG_FULL) !== 0;
  return queueOf(full ? L.BIN_FULL : load32(page, L.D_BIN));
}

/** Moves a page without free blocks to the full queue; it is not retired any more. */
export function queueToFull(page: usize): void {
  queueUnlink(queueOf(load32(page, L.D_BIN)), page);
  store32(page, L.D_RETIRE, 0);
  store32(page, L.D_OWNER, (load32(page, L.D_OWNER) | L.FLAG_FULL) >>> 0);
  queueLinkBack(queueOf(L.BIN_FULL), page);
}

/** Moves a full page back to the end of its queue: pages before it may have more free blocks. */
export function queueFromFull(page: usize): void {
  queueUnlink(queueOf(L.BIN_FULL), page);
  store32(page, L.D_OWNER, (load32(page, L.D_OWNER) & ~L.FLAG_FULL) >>> 0);
  queueLinkBack(queueOf(load32(page, L.D_BIN)), page);
}

/** Moves a page to the front of another bin's queue. */
export function queueMove(page: usize, bin: u32): void {
  queueUnlink(queueOf(load32(page, L.D_BIN)), page);
  store32(page, L.D_BIN, bin);
  queueLinkFront(queueOf(bin), page);
}

/** Moves a page to the end of another bin's queue. */
export function queueMoveBack(page: usize, bin: u32): void {
  queueUnlink(queueOf(load32(page, L.D_BIN)), page);
  store32(page, L.D_BIN, bin);
  queueLinkBack(queueOf(bin), page);
}

/** Moves a page to the front of its queue. */
export function queueToFront(queue: usize, page: usize): void {
  if (load32(queue, L.Q_FIRST) === page) return;
  queueUnlink(queue, page);
  queueLinkFront(queue, page);
}

/**
 * Checks the links of a queue, both its ends, the bins of its pages, and its direct entries.
 * O(pages).
 */
export function queueIsValid(bin: u32): bool {
  const queue: usize = queueOf(bin);
  let prev: usize = 0;
  let page: usize = load32(queue, L.Q_FIRST);
  while (page !== 0) {
    if (load32(page, L.D_PREV) !== prev || queueNow(page) !== queue) return false;
    prev = page;
    page = load32(page, L.D_NEXT);
  }
  return load32(queue, L.Q_LAST) === prev && directIsValid(queue);
}

function directIsValid(queue: usize): bool {
  let offset: u32 = load32(queue, L.Q_DIRECT);
  if (offset === DIRECT_NONE) return true;
  const page: usize = directWanted(queue);
  for (; offset <= directOffset(load32(queue, L.Q_BLOCK)); offset += 4) {
    if (load32(heapBase + offset, L.H_DIRECT) !== page) return false;
  }
  return true;
}
