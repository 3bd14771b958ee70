/** The core heap, or any allocator with C's verbs, as a source. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { definePool, type Pool } from "../pool/contract.ts";

/** What std needs of an allocator; createHeap's Heap has it. */
export interface HeapLike {
  malloc(size: number): number;
  free(ptr: number): void;
  usableSize(ptr: number): number;
  /** The bytes as they are now, and as words. */
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
}

export type Std = Pool<{
  readonly alignment: 16;
  readonly sized: false;
  readonly drops: false;
  readonly owns: false;
  readonly zeroed: false;
}>;

/**
 * Blocks of a heap. The heap stays the caller's: destroy does nothing, and blocks that were not put
 * stay allocated. Blocks of up to 8 bytes take 16, because the heap aligns those to 8 only.
 *
 * @example
 * const pool = pipe(std(createHeap()), stats());
 */
export function std(heap: HeapLike): Std {
  // Not `owns`: other pools may stand on the same heap, and the heap owns their blocks as well.
  const traits = {
    alignment: 16,
    sized: false,
    drops: false,
    owns: false,
    zeroed: false,
  } as const;
  const memory = { bytes: () => heap.u8, u32: () => heap.u32 };
  return definePool("std", traits, memory, [], {
    get: (size) => (size > SIZE_LIMIT ? 0 : heap.malloc(Math.max(size, 16))),
    put: (ptr) => heap.free(ptr),
    destroy: () => {},
    sizeOf: (ptr) => heap.usableSize(ptr),
  });
}
