/** Runs of 64 KiB slices of a memory as a source: what mmap is to Unix. */
import type { MemorySource } from "../../memory/index.ts";
import { checkSource, SLICE_BYTES as SLICE } from "../../memory/source.ts";
import { definePool, type Pool, type TraitsWith } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { Runs } from "./runs.ts";
import { memoryViewsOf } from "./views.ts";

/** What runs of whole slices guarantee. */
type RunTraits = TraitsWith<65536, "drops" | "owns">;

export const RUNS: RunTraits = {
  alignment: 65536,
  sized: false,
  drops: true,
  owns: true,
  zeroed: false,
};

/** What `slices` returns. */
export type Slices = Pool<RunTraits>;

/**
 * Blocks of whole slices of 64 KiB, first fit; freed runs are joined and used again. The memory
 * must have no other user. Price: a search in a tree of free runs, and 64 KiB for a small block.
 *
 * @example
 * const pool = pipe(slices(wasmMemory()), buddy());
 */
export function slices(source: MemorySource): Slices {
  checkSource("slices: source", source);
  const runs = new Runs(source);
  runs.addRest();
  const used = new Map<number, number>();
  const counter = new Counter();
  function put(ptr: number): void {
    const count = used.get(ptr) ?? 0;
    if (!used.delete(ptr)) return;
    runs.put(ptr / SLICE, count);
    counter.put(count * SLICE);
  }
  return definePool("slices", RUNS, memoryViewsOf(source), [], {
    get(size) {
      const count = Math.max(1, Math.ceil(size / SLICE));
      const ptr = runs.take(count) * SLICE;
      if (ptr === 0) return 0;
      used.set(ptr, count);
      counter.got(count * SLICE);
      return ptr;
    },
    put,
    destroy() {
      for (const ptr of used.keys()) put(ptr);
    },
    sizeOf: (ptr) => (used.get(ptr) ?? 0) * SLICE,
    owns: (ptr) => used.has(ptr),
    stats: () => counter.stats(),
  });
}
