/** What a debug allocator stands on: runs of bytes from any allocator, pool or memory. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { createAllocator, type HeapLike, type Pool, slices } from "../../layers/index.ts";
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

/** @throws TypeError if `source` is none of the three. */
export function backingOf(source: BackingAllocator): Backing {
  if (typeof source === "object" && source !== null) {
    if ("malloc" in source) return allocatorBacking(source);
    if ("traits" in source) return poolBacking("pool", source, undefined);
    if ("grow" in source && "capabilities" in source) {
      return poolBacking("memory", slices(source), source);
    }
  }
  throw new TypeError("backingAllocator must be an allocator, a pool or a memory source");
}

/** Every allocator of the package aligns to 16 from 16 bytes on. */
const NATURAL = 16;

function allocatorBacking(source: AllocatorLike): Backing {
  return {
    kind: "allocator",
    allocator: source,
    pages: pagesOf(source.source),
    get u8() {
      return source.u8;
    },
    get u32() {
      return source.u32;
    },
    acquire(alignment, bytes) {
      if (source.memalign && alignment > NATURAL && bytes <= SIZE_LIMIT) {
        return runOf(source.memalign(alignment, bytes), alignment, bytes);
      }
      return runAligned((size) => source.malloc(size), NATURAL, alignment, bytes);
    },
    release: (run) => source.free(run.raw),
  };
}

function poolBacking(
  kind: "pool" | "memory",
  pool: Pool,
  source: MemorySource | undefined,
): Backing {
  const { memory } = pool;
  return {
    kind,
    pages: pagesOf(source),
    allocator: createAllocator(pool),
    get u8() {
      return memory.bytes();
    },
    get u32() {
      return memory.u32();
    },
    acquire: (alignment, bytes) =>
      runAligned((size) => pool.get(size), pool.traits.alignment, alignment, bytes),
    release: (run) => pool.put(run.raw, run.asked),
  };
}

function pagesOf(source: MemorySource | undefined): PagesBelow | undefined {
  if (!source?.pages) return undefined;
  const { canRelease, canProtect } = source.capabilities;
  return { operations: source.pages, canRelease, canProtect };
}

/** Requests enough bytes for an aligned run, at whatever address the source returns. */
function runAligned(
  get: (size: number) => number,
  natural: number,
  alignment: number,
  bytes: number,
): Run | undefined {
  const asked = bytes + Math.max(0, alignment - natural);
  return asked > SIZE_LIMIT ? undefined : runOf(get(asked), alignment, asked);
}

function runOf(raw: number, alignment: number, asked: number): Run | undefined {
  if (raw === 0) return undefined;
  const base = Math.ceil(raw / alignment) * alignment;
  return { raw, base, bytes: raw + asked - base, asked };
}
