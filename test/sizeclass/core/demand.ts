/** Heaps with regions on demand, and what their tests read of them. */
import assert from "node:assert/strict";
import {
  createSizeClassHeap,
  type SizeClassHeap,
  type SizeClassOptions,
} from "#src/sizeclass/index.js";

export function make(options: SizeClassOptions = {}): SizeClassHeap {
  return createSizeClassHeap({ regions: "onDemand", releaseInterval: -1, ...options });
}

export function statsOf(heap: SizeClassHeap, id: number) {
  const one = heap.primary.stats().find((each) => each.id === id);
  assert.ok(one, `class ${id} has nothing mapped`);
  return one;
}

/** Chunks by their index in their region. */
export function indexes(heap: SizeClassHeap, id: number, chunks: readonly number[]): number[] {
  const { spaceBegin, regionBytes } = heap.primary;
  return chunks.map((p) => ((p - spaceBegin) % regionBytes) / heap.primary.map.size(id));
}
