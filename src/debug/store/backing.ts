/** What the debug allocator stands on: runs of bytes from any allocator, pool or memory. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { createAllocator, type HeapLike, type Pool, slices } from "../../layers/index.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { PagesBelow } from "./freed-memory.ts";

/** C's verbs; createHeap's Heap, `allocator(pool)` and another debug allocator have them. */
export interface AllocatorLike extends HeapLike {
  calloc(count: number, size: number): number;
  realloc(ptr: number, size: number): number;
  memalign?(alignment: number, size: number): number;
  memalignAt?(alignment: number, size: number, offset: number): number;
  contains?(ptr: number): boolean;
  collect?(): void;
  destroy?(): void;
  readonly source?: MemorySource | undefined;
  readonly memory?: WebAssembly.Memory | undefined;
}

/** What can stand under a debug allocator; a memory serves in whole pages, as mmap does. */
export type BackingAllocator = AllocatorLike | Pool | MemorySource;

/** Bytes from `base` on, a part of what the source gave as `raw`. */
export interface Run {
  readonly raw: number;
  readonly base: number;
  /** From base on. */
  readonly bytes: number;
  /** What was asked of the source. */
  readonly asked: number;
}

export interface Backing {
  readonly kind: "allocator" | "pool" | "memory";
  /** C's verbs over the same source, for blocks that are not guarded. */
  readonly allocator: AllocatorLike;
  /** What can be done with pages of the memory below. */
  readonly pages: PagesBelow | undefined;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  /** `bytes` bytes at a multiple of `alignment`; undefined when memory is out. */
  acquire(alignment: number, bytes: number): Run | undefined;
  release(run: Run): void;
}

/** @throws TypeError when it is none of the three. */
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

/** Asks for so much that an aligned run fits, wherever the source begins. */
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
