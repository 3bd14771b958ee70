/**
 * Blocks that one thread frees in another thread's page (shared build only).
 *
 * Each page has one atomic word, `thread free`: a list of blocks that other threads push by
 * compare-and-swap and the owner takes as a whole. The word holds their number and the first one's
 * place, so that the owner need not walk the list, whose every link lies in a line that another
 * core wrote last (1.6x on blocks that one thread allocates and another frees):
 *
 *   31                       14 13                            0
 *   +--------------------------+-------------------------------+
 *   | number of blocks         | (first - first slice) / 8     |      0: the list is empty
 *   +--------------------------+-------------------------------+
 *
 * A word that comes back while a thread is about to push (ABA) is the same list as far as the push
 * goes: the same first block, the same number.
 *
 * The owner looks at the word when the page has nothing else to give. Full pages are in no queue
 * that malloc searches, so the first block that is pushed on an empty list also sets a word of the
 * owner's heap, `remote`: while it is 0 the owner looks at no full page, else at a few in turn each
 * time it needs a fresh one.
 *
 * mimalloc 2 queues such blocks at the owner's heap instead, in a protocol of four states of which
 * one is waited for; a thread that is terminated in it would hold the owner up for ever. Here
 * nobody waits: who stops between the push and the word leaves blocks that are found with the next.
 */

import { linkLoad, linkStore } from "../hard/links.ts";
import { heapBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicCas, atomicLoad, atomicStore, atomicSwap } from "../target/atomics.ts";
import { errorRaise, load32, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { mediumFree } from "./medium.ts";
import { linkIsGood, pageHolds, pageRelease } from "./page.ts";
import { queueFromFull, queueOf } from "./queue.ts";

/** Full pages that one poll looks at: of 17 pages at most one waits for more than its turn. */
const POLL_PAGES: u32 = 16;

const COUNT_SHIFT: u32 = 14;
const OFFSET_MASK: u32 = 0x3fff;

/** First byte of the first slice of a page. */
function pageBase(page: usize): usize {
  return (load32(page, L.D_START) & ~(L.SLICE_SIZE - 1)) >>> 0;
}

/** The first block of the list that a word says. */
function listFirst(base: usize, word: u32): usize {
  return word === 0 ? 0 : base + ((word & OFFSET_MASK) << 3);
}

/** The word with one block more in front, at a offset. */
function listWord(word: u32, offset: u32): u32 {
  return ((((word >>> COUNT_SHIFT) + 1) << COUNT_SHIFT) | offset) >>> 0;
}

/** The first block of the list that a word of a page says. */
export function remoteFirst(page: usize, word: u32): usize {
  return listFirst(pageBase(page), word);
}

function blockLink(page: usize, block: usize, next: usize): void {
  if (HARDENED) linkStore(page, block, next);
  else store32(block, 0, next);
}

function blockNext(page: usize, block: usize): usize {
  return HARDENED ? linkLoad(page, block) : load32(block, 0);
}

/**
 * Pushes a block on the list of a page of another heap, or of none. Afterwards the page may be
 * gone, so the answer is what its descriptor says now: its owner, with flags.
 */
export function remotePush(page: usize, block: usize): u32 {
  const base: usize = pageBase(page);
  const offset: u32 = (block - base) >>> 3;
  let first: u32 = atomicLoad(page, L.D_THREAD);
  blockLink(page, block, listFirst(base, first));
  while (!atomicCas(page, L.D_THREAD, first, listWord(first, offset))) {
    first = atomicLoad(page, L.D_THREAD);
    blockLink(page, block, listFirst(base, first));
  }
  const owner: u32 = atomicLoad(page, L.D_OWNER);
  if (first === 0) remoteTell(owner);
  return owner;
}

/**
 * Tells the heap that its owner word names; a heap that is gone is told in vain, at no harm. A word
 * that is set already is left: its owner clears it before it looks at pages.
 */
function remoteTell(owner: u32): void {
  const heap: usize = (owner & ~L.FLAGS) >>> 0;
  if (heap <= L.OWNER_ABANDONED) return;
  const word: u32 = (owner & L.FLAG_MEDIUM) !== 0 ? L.H_REMOTE_MEDIUM : L.H_REMOTE;
  if (atomicLoad(heap + word, 0) === 0) atomicStore(heap + word, 0, 1);
}

/** Blocks of the list from `first` on; more than `most` or out of the page: 0xffffffff. */
function remoteCount(page: usize, first: usize, most: u32): u32 {
  let count: u32 = 0;
  for (let block: usize = first; block !== 0; block = blockNext(page, block)) {
    if (count === most || !pageHolds(page, block)) return 0xffffffff;
    count = count + 1;
  }
  return count;
}

/**
 * The last of `count` blocks from `first` on, or 0 when the list is not what its word says: a block
 * that was freed twice can make it a ring, on which a walk without end would never come back.
 */
function listEnd(page: usize, first: usize, count: u32): usize {
  let block: usize = first;
  for (let left: u32 = count; left !== 0; left--) {
    if (HARDENED && !linkIsGood(page, block)) return 0;
    const next: usize = blockNext(page, block);
    if (next === 0) return block;
    block = next;
  }
  return 0;
}

/**
 * Moves what others freed in a small page of ours to `local free`; whether there was anything.
 * More blocks than are in use, or a ring of them, after a double free, are reported and dropped:
 * they stay lost. A stray write into a freed block is noticed here as little as in the other lists.
 */
export function remoteTake(page: usize): bool {
  if (atomicLoad(page, L.D_THREAD) === 0) return false;
  const word: u32 = atomicSwap(page, L.D_THREAD, 0);
  const first: usize = listFirst(pageBase(page), word);
  const count: u32 = word >>> COUNT_SHIFT;
  if (count > load32(page, L.D_USED)) {
    errorRaise(L.EFAULT, load32(page, L.D_BLOCK));
    return false;
  }
  const local: usize = load32(page, L.D_LOCAL);
  if (local !== 0) {
    const last: usize = listEnd(page, first, count);
    if (last === 0) {
      errorRaise(L.EFAULT, load32(page, L.D_BLOCK));
      return false;
    }
    blockLink(page, last, local);
  }
  store32(page, L.D_LOCAL, first);
  store32(page, L.D_USED, load32(page, L.D_USED) - count);
  return true;
}

/** Frees what others freed in a medium page of ours, which may be given back by that. */
export function remoteTakeMedium(page: usize): bool {
  if (atomicLoad(page, L.D_THREAD) === 0) return false;
  let block: usize = listFirst(pageBase(page), atomicSwap(page, L.D_THREAD, 0));
  if (remoteCount(page, block, load32(page, L.D_USED)) === 0xffffffff) {
    errorRaise(L.EFAULT, load32(page, L.D_BLOCK));
    return false;
  }
  while (block !== 0) {
    const next: usize = blockNext(page, block);
    mediumFree(page, block);
    block = next;
  }
  return true;
}

/** Takes what others freed in a full page; the page goes back to its queue or to the state. */
function fullCollect(page: usize): void {
  if (!remoteTake(page)) return;
  if (load32(page, L.D_USED) === 0) pageRelease(page);
  else queueFromFull(page);
}

/** Looks at the next full pages, if other threads have freed blocks since the last round began. */
export function fullPoll(): void {
  let page: usize = load32(heapBase, L.H_POLL);
  if (page === 0) {
    if (atomicLoad(heapBase, L.H_REMOTE) === 0) return;
    atomicStore(heapBase, L.H_REMOTE, 0);
    page = load32(queueOf(L.BIN_FULL), L.Q_FIRST);
  }
  for (let left: u32 = POLL_PAGES; left !== 0 && page !== 0; left--) {
    const next: usize = load32(page, L.D_NEXT);
    fullCollect(page);
    page = next;
  }
  store32(heapBase, L.H_POLL, page);
}

/** Looks at all medium pages, if other threads have freed blocks in some. */
export function mediumPoll(): bool {
  if (atomicLoad(heapBase, L.H_REMOTE_MEDIUM) === 0) return false;
  atomicStore(heapBase, L.H_REMOTE_MEDIUM, 0);
  for (let bound: u32 = L.MEDIUM_RUN_MIN; bound <= L.MEDIUM_RUN_MAX; bound++) {
    let page: usize = load32(queueOf(L.BIN_MEDIUM + bound), L.Q_FIRST);
    while (page !== 0) {
      const next: usize = load32(page, L.D_NEXT);
      remoteTakeMedium(page);
      page = next;
    }
  }
  return true;
}

/** Takes what others freed in any page of this heap. */
export function remoteTakeAll(): void {
  for (let bin: u32 = 1; bin < L.BIN_FULL; bin++) {
    let page: usize = load32(queueOf(bin), L.Q_FIRST);
    while (page !== 0) {
      const next: usize = load32(page, L.D_NEXT);
      if ((load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0) remoteTakeMedium(page);
      else remoteTake(page);
      page = next;
    }
  }
  let full: usize = load32(queueOf(L.BIN_FULL), L.Q_FIRST);
  while (full !== 0) {
    const next: usize = load32(full, L.D_NEXT);
    fullCollect(full);
    full = next;
  }
}
