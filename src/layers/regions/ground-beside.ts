/** The ground region in the memory of a pool that a program enters first. */
import type { MemorySource } from "../../memory/index.ts";
import { SLICE_BYTES as SLICE } from "../../memory/source.ts";
import { definePool, type Memory, type Pool } from "../pool/contract.ts";
import { Runs } from "../sources/runs.ts";
import { RUNS } from "../sources/slices.ts";
import { std } from "../sources/std.ts";
import { originOfViews } from "../sources/views.ts";
import { chunk } from "../storage/chunk.ts";
import { segregated } from "../storage/segregated.ts";

/**
 * Makes the pool of a ground region in the memory of `pool`; undefined where nothing is known of
 * that memory. A heap below serves both; otherwise the ground grows the memory itself.
 */
export function groundBeside(pool: Pool): (() => Pool) | undefined {
  const { memory } = lowestOf(pool);
  const { heap, source } = originOfViews(memory) ?? {};
  if (heap) return () => std(heap);
  return source && (() => segregated()(chunk()(beside(source, memory))));
}

function lowestOf(pool: Pool): Pool {
  const [below] = pool.below;
  return below ? lowestOf(below) : pool;
}

/** Runs of slices that are added to a memory which has another user. */
function beside(source: MemorySource, memory: Memory): Pool {
  const runs = new Runs(source);
  const used = new Map<number, number>();
  return definePool("slices", RUNS, memory, [], {
    get(size) {
      const count = Math.max(1, Math.ceil(size / SLICE));
      const ptr = runs.take(count) * SLICE;
      if (ptr !== 0) used.set(ptr, count);
      return ptr;
    },
    put(ptr) {
      const count = used.get(ptr) ?? 0;
      if (used.delete(ptr)) runs.put(ptr / SLICE, count);
    },
    destroy: () => {},
    sizeOf: (ptr) => (used.get(ptr) ?? 0) * SLICE,
    owns: (ptr) => used.has(ptr),
  });
}
