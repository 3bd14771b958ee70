/** The contract of what a debug allocator stands on. */
import type { HeapLike, Pool } from "../../layers/index.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { Run } from "./block.ts";
import type { PagesBelow } from "./freed-memory.ts";

/**
 * An allocator with C's calls: a heap of `createHeap`, an allocator made of layers, another debug
 * allocator, or one of your own. Sizes and alignments are in bytes, pointers are addresses in the
 * memory that `u8` shows. Calls that fail return 0.
 */
export interface AllocatorLike extends HeapLike {
  /** Returns a block of `count * size` zero bytes, or 0. */
  calloc(count: number, size: number): number;
  /**
   * Resizes the block at ptr, which may move it. Returns its address, or 0 and leaves it as it is.
   */
  realloc(ptr: number, size: number): number;
  /** Returns a block at a multiple of `alignment`, a power of two, or 0. */
  memalign?(alignment: number, size: number): number;
  /** Returns a block for which address plus `offset` is a multiple of `alignment`, or 0. */
  memalignAt?(alignment: number, size: number, offset: number): number;
  /** Whether an address belongs to the allocator. */
  contains?(ptr: number): boolean;
  /** Gives back the memory that no block needs. */
  collect?(): void;
  /** Ends the allocator and gives its memory back. */
  destroy?(): void;
  /** Where the memory comes from. Needed for pages that can be released or protected. */
  readonly source?: MemorySource | undefined;
  /** The memory for the imports of a wasm module. */
  readonly memory?: WebAssembly.Memory | undefined;
}

/** What a debug allocator can stand on. A memory serves in whole pages, as mmap does. */
export type BackingAllocator = AllocatorLike | Pool | MemorySource;

export interface Backing {
  readonly kind: "allocator" | "pool" | "memory";
  /** Serves the blocks that are not sampled, from the same source. */
  readonly allocator: AllocatorLike;
  /** Operations on the pages of the memory below, if it has them. */
  readonly pages: PagesBelow | undefined;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  /** Returns `bytes` bytes at a multiple of `alignment`; undefined when memory is out. */
  acquire(alignment: number, bytes: number): Run | undefined;
  release(run: Run): void;
}
