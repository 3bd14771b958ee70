/** Whether a block of a hardened heap is free already, according to the lists of its page. */

import { linkLoad } from "../hard/links.ts";
import { pageCapacity } from "../layout/desc.ts";
import { heapId } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { linkIsGood } from "../pages/page.ts";
import { remoteFirst } from "../pages/remote.ts";
import { atomicLoad, SHARED } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";

function listHolds(page: usize, head: usize, block: usize): bool {
  let left: u32 = pageCapacity(page);
  let at: usize = head;
  while (at !== 0 && left !== 0 && linkIsGood(page, at)) {
    if (at === block) return true;
    at = linkLoad(page, at);
    left = left - 1;
  }
  return false;
}

/**
 * Whether a block of a small page is on one of its lists, if this heap owns the page: lists of
 * other heaps change during the walk. The lists are walked only if the block's first word decodes
 * to a link, which with encoding almost never happens for data.
 */
export function blockIsListed(page: usize, block: usize): bool {
  const owner: u32 = load32(page, L.D_OWNER);
  if ((owner & ~L.FLAGS) >>> 0 !== heapId || (owner & (L.FLAG_LARGE | L.FLAG_MEDIUM)) !== 0)
    return false;
  const next: usize = linkLoad(page, block);
  if (next !== 0 && !linkIsGood(page, next)) return false;
  if (listHolds(page, load32(page, L.D_FREE), block)) return true;
  if (listHolds(page, load32(page, L.D_LOCAL), block)) return true;
  return SHARED && listHolds(page, remoteFirst(page, atomicLoad(page, L.D_THREAD)), block);
}
