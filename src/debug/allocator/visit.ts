/** The walk over live blocks, page by page in address order. */
import type { AreaVisitor, BlockVisitor, HeapArea } from "../../heap/stats/walk.ts";
import type { Block, Item } from "../store/block.ts";

/** Options of `visitBlocks`. */
export interface DebugVisitOptions {
  /** Called for each page and each run of a large block, before its blocks; false stops. */
  areas?: AreaVisitor;
}

/** Visits the live blocks that `wanted` chooses, as they were when the walk began. */
export function itemsVisit(
  items: Iterable<Item>,
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

function areaOf({ run, area }: Item, used: number): HeapArea {
  return { start: run.base, used, fullBlockSize: area.blockSize, ...area };
}
