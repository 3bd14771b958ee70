/**
 * Allocation and freeing in pages of any kind: the slow part of alloc.ts, and what hardened.ts
 * calls after its checks.
 */

import { backingBind, heapBind } from "../layout/bound-heap.ts";
import { heapsMade } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { mediumAlloc, mediumBlockOf, mediumFree } from "../pages/medium.ts";
import { pageBlockOf, pageFreeBlock } from "../pages/page.ts";
import { remotePush } from "../pages/remote.ts";
import { SHARED } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";
import { pageAdopt } from "./abandon.ts";
import { heapTrimDue, mallocGeneric } from "./heap.ts";
import { heapIsOurs } from "./threads.ts";

export function mallocMedium(size: u32): usize {
  const block: usize = size <= L.MEDIUM_MAX ? mediumAlloc(size) : 0;
  return block !== 0 ? block : mallocGeneric(size);
}

/** Start of the block that contains p, an address inside the blocks of a page; 0 = free units. */
export function blockOf(page: usize, p: usize): usize {
  const medium: bool = (load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
  return medium ? mediumBlockOf(page, p) : pageBlockOf(page, p);
}

/** Frees a block of a small or medium page of ours. */
export function freeLocal(page: usize, block: usize): void {
  if ((load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0) mediumFree(page, block);
  else pageFreeBlock(page, block);
}

/**
 * Frees a block of a page that no heap of this thread owns. If one owns it: false, nothing is done.
 */
export function freeOutside(page: usize, block: usize, owner: u32): bool {
  if (!SHARED) return false;
  if (heapsMade) {
    if (heapIsOurs((owner & ~L.FLAGS) >>> 0)) return false;
    const was: usize = backingBind();
    freeRemote(page, block, owner);
    heapBind(was);
    return true;
  }
  freeRemote(page, block, owner);
  return true;
}

/**
 * Frees a block of a page that is not ours. If the page has no owner, also if it lost its owner
 * during the push, this heap adopts it. A thread that only frees is trimmed here, or it would keep
 * all that it adopts.
 */
function freeRemote(page: usize, block: usize, owner: u32): void {
  if ((owner & ~L.FLAGS) >>> 0 === L.OWNER_ABANDONED && pageAdopt(page)) freeLocal(page, block);
  else if ((remotePush(page, block) & ~L.FLAGS) >>> 0 !== L.OWNER_ABANDONED || !pageAdopt(page)) {
    return;
  }
  heapTrimDue();
}
