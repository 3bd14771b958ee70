/**
 * Pages whose thread has ended (shared build only).
 *
 * The owner word names the owner of a page at every instant: a heap, or OWNER_ABANDONED. A thread
 * that wants an abandoned page swaps its own heap's id in; one thread succeeds, and from then on
 * owns the page like any other. A bitmap marks where abandoned pages begin. A bit is set before the
 * page is given up and cleared after it was taken, so every abandoned page has its bit.
 *
 *        detach, recover                     adopt: to allocate, by a free, by collect
 *   owner: a heap  ------------------>  owner: OWNER_ABANDONED  ------------------>  owner: a heap
 *          ^                                                                              |
 *          +------------------------------------------------------------------------------+
 *
 * A thread that pushes a freed block reads the owner word after the push; a thread that gives a
 * page up reads the list afterwards. At least one of the two sees the other's write, so no block is
 * missed.
 */

import { backingBind, heapBind, heapIsBacking } from "../layout/bound-heap.ts";
import { descOf } from "../layout/desc.ts";
import { heapBase, heapId, stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { pageDrop, pageEnd } from "../pages/page.ts";
import { queuePush, queueToFull } from "../pages/queue.ts";
import { remoteTake, remoteTakeMedium } from "../pages/remote.ts";
import { countAdd } from "../slices/counts.ts";
import { atomicAnd, atomicCas, atomicLoad, atomicOr, atomicStore } from "../target/atomics.ts";
import { load32, memoryReach, store32, trailingZeros } from "../target/glue.ts";

/** Abandoned pages that a search looks at; before the memory grows it looks at all. */
export const SEARCH_SOME: u32 = 32;
export const SEARCH_ALL: u32 = 0xffffffff;

function abandonedWord(index: u32): usize {
  return stateBase + L.STATE_ABANDONED + (index << 2);
}

function abandonedMark(page: usize): void {
  const slice: u32 = load32(page, L.D_START) >>> L.SLICE_SHIFT;
  atomicOr(abandonedWord(slice >>> 5), 0, (1 << (slice & 31)) >>> 0);
  atomicStore(stateBase, L.S_ABANDONED, 1);
}

function abandonedUnmark(page: usize): void {
  const slice: u32 = load32(page, L.D_START) >>> L.SLICE_SHIFT;
  atomicAnd(abandonedWord(slice >>> 5), 0, ~(1 << (slice & 31)) >>> 0);
}

/** Gives up a page of ours that is in no queue and has blocks in use. */
export function pageAbandon(page: usize): void {
  countAdd(L.COUNT_ABANDONED, 1);
  store32(page, L.D_RETIRE, 0);
  abandonedMark(page);
  const kept: u32 = load32(page, L.D_OWNER) & (L.FLAG_ALIGNED | L.FLAG_MEDIUM);
  atomicStore(page, L.D_OWNER, (L.OWNER_ABANDONED | kept) >>> 0);
}

/** Whether other threads freed blocks of a page while it was given up: then it must be adopted. */
export function pageWasFreedIn(page: usize): bool {
  return atomicLoad(page, L.D_THREAD) !== 0;
}

/**
 * Makes an abandoned page ours, in no queue yet; false when the page is not abandoned (any more).
 */
function pageSeize(page: usize): bool {
  const owner: u32 = atomicLoad(page, L.D_OWNER);
  if ((owner & ~L.FLAGS) >>> 0 !== L.OWNER_ABANDONED || (owner & L.FLAG_LARGE) !== 0) return false;
  if (!atomicCas(page, L.D_OWNER, owner, (heapId | (owner & L.FLAGS)) >>> 0)) return false;
  abandonedUnmark(page);
  return true;
}

/**
 * Takes an abandoned page into this heap, with the blocks that other threads have freed in it. A
 * page without blocks in use is given back. Returns whether the page was abandoned.
 */
export function pageAdopt(page: usize): bool {
  if (!pageSeize(page)) return false;
  memoryReach(atomicLoad(stateBase, L.S_TOP));
  if ((load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0) {
    queuePush(page);
    remoteTakeMedium(page);
    return true;
  }
  remoteTake(page);
  if (load32(page, L.D_USED) === 0) {
    pageDrop(page);
    return true;
  }
  queuePush(page);
  if (!pageHasBlock(page)) queueToFull(page);
  return true;
}

/** Whether a small page has a block to give. For a page of another thread the result is a guess. */
function pageHasBlock(page: usize): bool {
  if ((load32(page, L.D_FREE) | load32(page, L.D_LOCAL)) !== 0) return true;
  return load32(page, L.D_FRESH) !== pageEnd(page);
}

/**
 * Whether an abandoned page seems to serve a bin; a medium page serves its own bound and lower
 * ones.
 */
function pageServes(page: usize, bin: u32): bool {
  const have: u32 = load32(page, L.D_BIN);
  if (bin > L.BIN_MEDIUM) return have >= bin && (load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
  return have === bin && (pageHasBlock(page) || pageWasFreedIn(page));
}

/**
 * Adopts an abandoned page that serves a bin (BIN_MEDIUM + units for medium blocks). Returns
 * whether one was found. Looks at `most` pages, from where the last search ended.
 */
export function abandonedAdopt(bin: u32, most: u32): bool {
  if (!heapIsBacking()) return false;
  if (atomicLoad(stateBase, L.S_ABANDONED) === 0) return false;
  const top: u32 = atomicLoad(stateBase, L.S_TOP);
  const end: u32 = (top + 31) >>> 5;
  const from: u32 = load32(heapBase, L.H_ABANDONED_AT);
  memoryReach(top);
  let left: u32 = most;
  atomicStore(stateBase, L.S_ABANDONED, 0);
  let found: bool = false;
  for (let i: u32 = 0; i < end && left !== 0 && !found; i++) {
    const index: u32 = from + i < end ? from + i : from + i - end;
    let bits: u32 = index < end ? atomicLoad(abandonedWord(index), 0) : 0;
    if (bits !== 0) atomicStore(stateBase, L.S_ABANDONED, 1);
    while (bits !== 0 && left !== 0 && !found) {
      const page: usize = descOf((index << 5) + trailingZeros(bits));
      found = pageServes(page, bin) && pageAdopt(page);
      bits = (bits & (bits - 1)) >>> 0;
      left = left - 1;
    }
    store32(heapBase, L.H_ABANDONED_AT, index);
  }
  return found;
}

/** The backing heap adopts every abandoned page. */
export function abandonedAdoptAll(): void {
  const was: usize = backingBind();
  const end: u32 = (atomicLoad(stateBase, L.S_TOP) + 31) >>> 5;
  memoryReach(atomicLoad(stateBase, L.S_TOP));
  atomicStore(stateBase, L.S_ABANDONED, 0);
  for (let index: u32 = 0; index < end; index++) {
    let bits: u32 = atomicLoad(abandonedWord(index), 0);
    while (bits !== 0) {
      if (!pageAdopt(descOf((index << 5) + trailingZeros(bits)))) {
        atomicStore(stateBase, L.S_ABANDONED, 1);
      }
      bits = (bits & (bits - 1)) >>> 0;
    }
  }
  heapBind(was);
}
