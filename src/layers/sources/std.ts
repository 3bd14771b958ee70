/** The core heap, or any allocator with the calls of C, as a source. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { definePool, type Memory, type Pool, type TraitsWith } from "../pool/contract.ts";

/** What `std` needs of an allocator; createHeap's Heap, Region and Allocator have it. */
export interface HeapLike {
  /** A block of at least `size` bytes, aligned to 16 from 16 bytes on; 0 = out of memory. */
  malloc(size: number): number;
  /** Frees a block. */
  free(ptr: number): void;
  /** Bytes that the block at ptr can hold. */
  usableSize(ptr: number): number;
  /** All bytes of the memory as it is now. */
  readonly u8: Uint8Array;
  /** All of the memory as it is now, as words of 32 bits. */
  readonly u32: Uint32Array;
}

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
  return stdOver(heap, { bytes: () => heap.u8, u32: () => heap.u32 });
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
