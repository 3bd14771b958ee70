/** The walk over what is live, page by page in address order. */
import type { AreaVisitor, BlockVisitor, HeapArea } from "../walk.ts";
import { type Block, type Large, Page } from "./block.ts";

export interface DebugVisitOptions {
  /** Called for each page and each run of a large block, before its blocks; false stops. */
  areas?: AreaVisitor;
}

/** Visits the live blocks that `wanted` chooses, as they were when the walk began. */
export function itemsVisit(
  items: Iterable<Page | Large>,
  wanted: (block: Block) => boolean,
  visit: BlockVisitor | undefined,
  { areas }: DebugVisitOptions = {},
): boolean {
  const sorted = [...items].sort((a, b) => a.run.base - b.run.base);
  for (const item of sorted) {
    const live = [...item.blocks()].filter((block) => block.live && wanted(block));
    if (live.length === 0) continue;
    if (areas?.(areaOf(item, live.length)) === false) return false;
    for (const { ptr, size } of live) if (visit?.(ptr, size) === false) return false;
  }
  return true;
}

function areaOf(item: Page | Large, used: number): HeapArea {
  const { base, bytes } = item.run;
  if (!(item instanceof Page)) {
    const all = { reserved: bytes, committed: bytes, blockSize: bytes, fullBlockSize: bytes };
    return { start: base, used, ...all };
  }
  const { count, slot, end } = item;
  const blocks = { reserved: count * slot, blockSize: slot, fullBlockSize: slot };
  return { start: base, committed: end - base, used, ...blocks };
}
