/** What a debug allocator stands on: runs of bytes from any allocator, pool or memory. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import { Heap } from "../../heap/heap.ts";
import { createAllocator, type Pool, slices } from "../../layers/index.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { AllocatorLike, Backing, BackingAllocator } from "./allocator-like.ts";
import { WatchedBacking } from "./backing-damage.ts";
import type { Run } from "./block.ts";
import type { PagesBelow } from "./freed-memory.ts";

/**
 * Guarded blocks of a heap for one thread lie beside the heap, in memory of which no list lies
 * where the program writes; those of another allocator lie in blocks of it, until it is damaged.
 *
 * @throws TypeError if `source` is none of the three.
 */
export function backingOf(source: BackingAllocator): WatchedBacking {
  if (typeof source === "object" && source !== null) {
    if ("malloc" in source) return new WatchedBacking(allocatorBacking(source), ownerOf(source));
    if ("traits" in source) return new WatchedBacking(poolBacking("pool", source), undefined);
    if ("grow" in source && "capabilities" in source) {
      return new WatchedBacking(poolBacking("memory", slices(source), source), undefined);
    }
  }
  throw new TypeError("backingAllocator must be an allocator, a pool or a memory source");
}

/** The memory of a heap. A stand-in for one, which refuses requests perhaps, is not bypassed. */
function ownerOf(source: AllocatorLike): MemorySource | undefined {
  const isHeap = source instanceof Heap && source.usableSize === Heap.prototype.usableSize;
  return isHeap ? source.source : undefined;
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

function poolBacking(kind: "pool" | "memory", pool: Pool, source?: MemorySource): Backing {
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
