/** The core heap, or any allocator with the calls of C, as a source. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import {
  definePool,
  type HeapLike,
  type Memory,
  type Pool,
  type TraitsWith,
} from "../pool/contract.ts";
import { heapViewsOf } from "./views.ts";

export type { HeapLike } from "../pool/contract.ts";

/** What `std` returns. */
export type Std = Pool<TraitsWith<16, never>>;

/**
 * Blocks of a heap. The heap stays the caller's: `destroy` does nothing, and blocks that were not
 * put stay allocated. Blocks of up to 8 bytes take 16, because the heap aligns those to 8 only.
 *
 * @example
 * const pool = pipe(std(createHeap()), stats());
 */
export function std(heap: HeapLike): Std {
  return stdOver(heap, heapViewsOf(heap));
}

/** `std` for a heap whose views can be had from `memory` directly. */
export function stdOver(heap: HeapLike, memory: Memory): Std {
  // `owns` is false: the heap also owns the blocks of other pools that use it.
  const traits = {
    alignment: 16,
    sized: false,
    drops: false,
    owns: false,
    zeroed: false,
  } as const;
  return definePool("std", traits, memory, [], {
    get: (size) => (size > SIZE_LIMIT ? 0 : heap.malloc(Math.max(size, 16))),
    put: (ptr) => heap.free(ptr),
    destroy: () => {},
    sizeOf: (ptr) => heap.usableSize(ptr),
  });
}
