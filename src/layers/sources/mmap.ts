/** Runs of slices of a heap as a source: what mmap is to Unix, beside the heap's other users. */
import { definePool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { RUNS, type Slices } from "./slices.ts";
import type { HeapLike } from "./std.ts";
import { heapViewsOf } from "./views.ts";

const SLICE = 65536;

/** What `mmap` needs of an allocator; Heap, Region and Allocator have it. */
export interface AligningHeap extends HeapLike {
  /** A block of `size` bytes at a multiple of `alignment`, a power of two; 0 = out of memory. */
  memalign(alignment: number, size: number): number;
}

/** What `mmap` returns. */
export type Mmap = Slices;

/**
 * Blocks of whole slices of 64 KiB from a heap that has other users as well; `slices` does the same
 * for a memory without a heap. `destroy` frees all of them. Price: 64 KiB for a small block, and a
 * table entry for each block.
 *
 * @example
 * const pool = pipe(mmap(createHeap()), buddy());
 */
export function mmap(heap: AligningHeap): Mmap {
  const runs = new Map<number, number>();
  const counter = new Counter();
  function put(ptr: number): void {
    const bytes = runs.get(ptr);
    if (bytes === undefined) return;
    runs.delete(ptr);
    counter.put(bytes);
    heap.free(ptr);
  }
  return definePool("mmap", RUNS, heapViewsOf(heap), [], {
    get(size) {
      const bytes = Math.max(1, Math.ceil(size / SLICE)) * SLICE;
      const ptr = bytes > 2 ** 31 - SLICE ? 0 : heap.memalign(SLICE, bytes);
      if (ptr === 0) return 0;
      runs.set(ptr, bytes);
      counter.got(bytes);
      return ptr;
    },
    put,
    destroy() {
      for (const ptr of [...runs.keys()]) put(ptr);
    },
    sizeOf: (ptr) => runs.get(ptr) ?? 0,
    owns: (ptr) => runs.has(ptr),
    stats: () => counter.stats(),
  });
}
