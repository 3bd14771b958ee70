/** Queries that walk over all blocks. */
import type { LeakGroup } from "../report/mistakes.ts";
import type { Block } from "./block.ts";

/** Live blocks, grouped by the stacks that allocated and resized them. */
export function findLeaks(blocks: Iterable<Block>): LeakGroup[] {
  const groups = new Map<string, LeakGroup & { ptrs: number[]; bytes: number }>();
  for (const block of blocks) {
    if (!block.live) continue;
    const { allocated, resized } = block;
    const key = `${allocated} ${resized}`;
    const group = groups.get(key) ?? { ptrs: [], bytes: 0, allocated, resized };
    groups.set(key, group);
    group.ptrs.push(block.ptr);
    group.bytes += block.size;
  }
  return [...groups.values()];
}

/** The block whose bytes are closest to an address. */
export function findNearest(blocks: Iterable<Block>, address: number): Block | undefined {
  let nearest: Block | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const block of blocks) {
    const distance = Math.max(block.ptr - address, address - block.ptr - block.size, 0);
    if (distance < least) [least, nearest] = [distance, block];
  }
  return nearest;
}

/** The live blocks of a heap. */
export function blocksOfHeap(blocks: Iterable<Block>, heap: number): Block[] {
  return [...blocks].filter((block) => block.live && block.heap === heap);
}
