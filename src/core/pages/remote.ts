/**
 * Blocks that one thread frees in another thread's page (shared build only).
 *
 * Each page has one atomic word, `thread free`: a list to which other threads push blocks by
 * compare-and-swap, and which the owner takes as a whole. The word holds the number of blocks and
 * the first one's offset, so the owner need not walk the list, whose links lie in cache lines that
 * other processors wrote last (1.6x on blocks that one thread allocates and another frees):
 *
 *   31                       14 13                            0
 *   +--------------------------+-------------------------------+
 *   | number of blocks         | (first - first slice) / 8     |      0: the list is empty
 *   +--------------------------+-------------------------------+
 *
 * If the word changes and comes back while a thread is about to push (ABA), the push is still
 * right: the first block and the number are the same.
 *
 * The owner reads the word when the page has no other block to give. Full pages are in no queue
 * that malloc searches, so the first block that is pushed to an empty list also sets a word of the
 * owner's heap, `remote`. While that is 0 the owner polls no full pages, else a few of them by
 * turns each time it needs a fresh page.
 *
 * mimalloc 2 queues such blocks at the owner's heap instead, with a protocol of four states, one of
 * which is waited for; a thread that is terminated in it would block the owner for ever. Here no
 * thread waits: if one stops between the push and the write of the heap's word, its blocks are
 * found at the next push.
 */

import { linkLoad, linkStore } from "../hard/links.ts";
import { heapBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicAdd, atomicCas, atomicLoad, atomicStore, atomicSwap } from "../target/atomics.ts";
import { errorRaise, load32, store32 } from "../target/glue.ts";
import { HARDENED } from "../target/hardened-on.ts";
import { mediumFree } from "./medium.ts";
import { linkIsGood, pageHolds, pageRelease } from "./page.ts";
import { queueFromFull, queueOf } from "./queue.ts";

/** Full pages that one poll visits. Of 17 pages, at most one waits for more than one poll. */
const POLL_PAGES: u32 = 16;

const COUNT_SHIFT: u32 = 14;
const OFFSET_MASK: u32 = 0x3fff;

/** First byte of the first slice of a page. */
function pageBase(page: usize): usize {
  return (load32(page, L.D_START) & ~(L.SLICE_SIZE - 1)) >>> 0;
}

/** The first block of the list that a word describes. */
function listFirst(base: usize, word: u32): usize {
  return word === 0 ? 0 : base + ((word & OFFSET_MASK) << 3);
}

/** The word for the list with one more block at the front, at an offset. */
function listWord(word: u32, offset: u32): u32 {
  return ((((word >>> COUNT_SHIFT) + 1) << COUNT_SHIFT) | offset) >>> 0;
}

/** The first block of the list that a page's word describes. */
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
 * Pushes a block to the list of a page of another heap, or of an abandoned page. Afterwards the
 * page may be gone, so this returns what its descriptor holds now: its owner, with flags.
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
  if (first === 0) remoteNotify(owner);
  // A guess: the owner may change the number of used blocks, or may have given the page back.
  if ((first >>> COUNT_SHIFT) + 1 >= load32(page, L.D_USED)) remoteEmptied(owner);
  return owner;
}

/**
 * Sets the word of the heap that an owner word names. If that heap is gone, the write is harmless.
 * A word that is set already needs no write: its owner clears it before it visits pages.
 */
function remoteNotify(owner: u32): void {
  const heap: usize = (owner & ~L.FLAGS) >>> 0;
  if (heap <= L.OWNER_ABANDONED) return;
  const word: u32 = (owner & L.FLAG_MEDIUM) !== 0 ? L.H_REMOTE_MEDIUM : L.H_REMOTE;
  if (atomicLoad(heap + word, 0) === 0) atomicStore(heap + word, 0, 1);
  if (atomicLoad(heap, L.H_FREED) === 0) atomicCas(heap, L.H_FREED, 0, 1);
}

/** Counts a page whose blocks seem to be free, for the heap that an owner word names. */
function remoteEmptied(owner: u32): void {
  const heap: usize = (owner & ~L.FLAGS) >>> 0;
  if (heap > L.OWNER_ABANDONED) atomicAdd(heap, L.H_FREED, 2);
}

/** Number of blocks from `first` on; 0xffffffff if they are more than `most` or leave the page. */
function remoteCount(page: usize, first: usize, most: u32): u32 {
  let count: u32 = 0;
  for (let block: usize = first; block !== 0; block = blockNext(page, block)) {
    if (count === most || !pageHolds(page, block)) return 0xffffffff;
    count = count + 1;
  }
  return count;
}

/**
 * The last of `count` blocks from `first` on, or 0 when the list does not match its word: a block
 * that was freed twice can make it a ring, which must not be walked without a limit.
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
 * Moves the blocks that others freed in a small page of ours to `local free`. Returns whether there
 * were any. More blocks than are in use, or a ring of them, after a double free, are reported and
 * dropped: they stay lost. As in the other lists, a stray write into a freed block is not detected.
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

/** Frees the blocks that others freed in a medium page of ours. This may give back the page. */
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

/**
 * Takes the blocks that others freed in a full page, and moves the page to its queue or drops it.
 */
function fullCollect(page: usize): void {
  if (!remoteTake(page)) return;
  if (load32(page, L.D_USED) === 0) pageRelease(page);
  else queueFromFull(page);
}

/** Polls the next full pages, if other threads have freed blocks since the last round began. */
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

/** Visits all medium pages, if other threads have freed blocks in some of them. */
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

/** Takes the blocks that others freed in all pages of this heap. */
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
