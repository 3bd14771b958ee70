/** The checked API of the allocator in an address space; linear.ts has that of linear memory. */

import { checkAlignment, checkSize, pointerError } from "../../common/checks.ts";
import { heapDestroyed, SIZE_LIMIT } from "../../common/errors.ts";
import { millisecondsCheck, timerStart } from "../../heap/purge-timer.ts";
import type { Geometry, SizeClassCore } from "../core/contract.ts";
import * as L from "../core/layout.ts";
import { addressError } from "./errors.ts";
import type { Primary, RegionStats } from "./primary.ts";

/** Statistics of the large blocks: blocks with a mapping of their own. */
export interface LargeStats {
  /** Large blocks that were ever allocated. */
  readonly allocations: number;
  /** Large blocks that were ever freed. */
  readonly frees: number;
  /** Bytes in mappings now, with the page before each block. */
  readonly mappedBytes: number;
  /** The most bytes that were ever in mappings at once. */
  readonly peakBytes: number;
  /** Element i: large blocks ever allocated with a mapping of 2^i bytes up to 2^(i + 1). */
  readonly bySizeLog: readonly number[];
}

/** Statistics of a size-class allocator at one moment. */
export interface SizeClassStats {
  /** Of each class that has memory, or had some before a release; ascending by size. */
  readonly regions: readonly RegionStats[];
  /** Of the blocks beyond the largest class. */
  readonly large: LargeStats;
}

export interface AllocatorParts {
  readonly core: SizeClassCore;
  readonly primary: Primary;
  readonly geometry: Geometry;
  /** Unmaps the space as a whole, after the allocator has ended. */
  destroy(): void;
}

/**
 * The size-class allocator over an address space: chunks come from regions through a cache, larger
 * blocks have mappings of their own. Pointers may exceed 2^32; 0 is null and never a block. Where
 * memory is out, calls return 0; mistakes throw and change nothing. For one thread.
 *
 * Algorithm: LLVM's CombinedAllocator over SizeClassAllocator64 and LargeMmapAllocator. Where a
 * region is full, larger classes serve, as in Scudo.
 *
 * @example
 * using allocator = createSizeClassHeap({ space: sparseSpace() });
 * const ptr = allocator.malloc(100);
 * allocator.free(ptr);
 */
export class SizeClassAllocator implements Disposable {
  /** The chunks of all classes, below the cache and the large blocks. */
  readonly primary: Primary;
  protected core: SizeClassCore;
  readonly #geometry: Geometry;
  readonly #destroy: () => void;
  #isDestroyed = false;
  #timerStop: (() => void) | undefined;

  /** Use createSizeClassHeap. */
  constructor(parts: AllocatorParts) {
    this.core = parts.core;
    this.primary = parts.primary;
    this.#geometry = parts.geometry;
    this.#destroy = parts.destroy;
  }

  /**
   * Allocates a block of at least `size` bytes, aligned to 16. Returns its address, or 0 where
   * memory is out.
   *
   * @throws TypeError or RangeError unless size is a whole number from 0 to 2^31 - 1.
   */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.address(this.core.malloc(size));
  }

  /**
   * Allocates a block of `count * size` zero bytes, aligned to 16. Returns its address, or 0 where
   * memory is out or the product is above 2^31 - 1.
   *
   * @throws TypeError or RangeError unless both are whole numbers from 0 to 2^31 - 1.
   */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return count * size > SIZE_LIMIT ? 0 : this.zalloc(count * size);
  }

  /**
   * Allocates a block of `size` zero bytes, aligned to 16. Returns its address, or 0 where memory
   * is out.
   *
   * @throws TypeError or RangeError unless size is a whole number from 0 to 2^31 - 1.
   */
  zalloc(size: number): number {
    checkSize(size, "size");
    return this.address(this.core.zalloc(size));
  }

  /**
   * Allocates a block whose address is a multiple of `alignment`. Returns its address, or 0 where
   * memory is out.
   *
   * @throws TypeError or RangeError unless alignment is a power of two up to 2^30, and size a whole
   * number from 0 to 2^31 - 1.
   */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.address(this.core.memalign(alignment, size));
  }

  /**
   * Resizes a block: in place if its class, or its number of pages, stays the same. A null pointer
   * allocates; size 0 returns a block of the smallest class. Returns the new address, or 0 where
   * memory is out: then the block at ptr is as it was.
   *
   * @throws HeapError when ptr is not a block, or points into one.
   */
  realloc(ptr: number, size: number): number {
    checkSize(size, "size");
    this.#checkBlock("realloc", ptr);
    return this.address(this.core.realloc(ptr, size));
  }

  /**
   * realloc as in LLVM: size 0 frees the block and returns 0. Unlike in LLVM, a block that cannot
   * be resized stays.
   *
   * @throws HeapError when ptr is not a block, or points into one.
   */
  reallocate(ptr: number, size: number): number {
    if (ptr === 0 || size !== 0) return this.realloc(ptr, size);
    this.free(ptr);
    return 0;
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws HeapError when ptr is not a block, or points into one. A chunk that is free already is
   * found later, when its region is released: as SizeClassError ERR_DOUBLE_FREE.
   */
  free(ptr: number): void {
    this.checkAddress(ptr);
    const found = this.core.freeChecked(ptr);
    if (found !== L.PTR_GOOD) throw pointerError("free", found, ptr);
  }

  /**
   * Bytes that the block at ptr can hold; 0 for null.
   *
   * @throws HeapError when ptr is not a block, or points into one.
   */
  usableSize(ptr: number): number {
    this.#checkBlock("usableSize", ptr);
    return ptr === 0 ? 0 : this.core.usableSize(ptr) >>> 0;
  }

  /** What usableSize of a new block for `size` bytes is, unless the region of its class is full. */
  goodSize(size: number): number {
    checkSize(size, "size");
    return this.core.goodSize(size) >>> 0;
  }

  /** Start of the block, live or free, that contains an address; 0 if no block contains it. */
  blockBegin(ptr: number): number {
    this.checkAddress(ptr);
    return this.address(this.core.blockBegin(ptr));
  }

  /** Whether an address is in a block, live or free, of this allocator. */
  contains(ptr: number): boolean {
    return this.blockBegin(ptr) !== 0;
  }

  /**
   * Address of the metadata of the block that contains an address; 0 if there is none. Chunks have
   * `metadataSize` bytes, large blocks half a page. Metadata stays when its chunk is freed.
   */
  metadata(ptr: number): number {
    this.checkAddress(ptr);
    return this.address(this.core.metaOf(ptr));
  }

  /**
   * Calls `visit` with each chunk, live or free, and with each large block. Takes no lock: blocks
   * that other threads allocate or free meanwhile may be visited or not.
   */
  forEachBlock(visit: (block: number, size: number) => void): void {
    this.primary.forEachChunk(visit);
    const { large, largePages, pageSize } = this.#geometry;
    for (let at = large + largePages * pageSize; at > large; ) {
      const head = this.address(this.core.largeBefore(at - 1));
      if (head === 0) return;
      const block = this.address(this.core.blockBegin(head));
      if (block !== 0) visit(block, this.core.usableSize(block) >>> 0);
      at = head;
    }
  }

  /**
   * Returns the chunks in this thread's cache to their regions, so that other threads, and a
   * release, can have them.
   *
   * @throws SizeClassError ERR_DOUBLE_FREE when a release finds that a chunk was freed twice.
   */
  drain(): void {
    this.core.cacheDrain(L.NONE);
  }

  /**
   * Drains this thread's cache at an interval, and releases what was freed since the last time,
   * even while the program is idle: without it memory is released only when something is freed. The
   * timer keeps neither the process nor the allocator alive. 0 stops it. Each thread that shares
   * the allocator has its own.
   *
   * @throws TypeError or RangeError unless milliseconds is a number from 0 to 2^31 - 1.
   * @example
   * const heap = createSizeClassHeap({ release: tryOsPages });
   * heap.releaseEvery(5000);
   */
  releaseEvery(milliseconds: number): void {
    this.core.goodSize(0); // throws if the allocator is destroyed
    millisecondsCheck(milliseconds);
    this.#timerStop?.();
    this.#timerStop = milliseconds === 0 ? undefined : timerStart(this, milliseconds, onTick);
  }

  /** Statistics of all classes and of the large blocks. Takes no lock. */
  stats(): SizeClassStats {
    return { regions: this.primary.stats(), large: this.#largeStats() };
  }

  /** Statistics of regions and large blocks as text, in LLVM's format. */
  printStats(): string {
    const { allocations, frees, mappedBytes, peakBytes, bySizeLog } = this.#largeStats();
    const logs = bySizeLog.map((count, log) => (count === 0 ? "" : `${log}:${count}; `)).join("");
    return (
      `${this.primary.printStats()}Stats: LargeMmapAllocator: allocated ${allocations} times, ` +
      `remains ${allocations - frees} (${mappedBytes / 1024} K) ` +
      `max ${Math.floor(peakBytes / 2 ** 20)} M; by size logs: ${logs}\n`
    );
  }

  /** Ends the allocator and all its blocks: later calls throw, also those of `primary`. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#timerStop?.();
    this.core = coreDestroyed();
    this.primary.coreReplace(this.core);
    this.#destroy();
  }

  /** destroy, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /** Converts an address that the core returns. */
  protected address(p: number): number {
    return p;
  }

  protected checkAddress(ptr: number): void {
    if (!Number.isSafeInteger(ptr) || ptr < 0) throw addressError(ptr);
  }

  #checkBlock(call: string, ptr: number): void {
    this.checkAddress(ptr);
    if (ptr === 0) return;
    const found = this.core.pointerCheck(ptr);
    if (found !== L.PTR_GOOD) throw pointerError(call, found, ptr);
  }

  #largeStats(): LargeStats {
    const word = (offset: number) => this.core.controlWord(offset) >>> 0;
    const { pageSize } = this.#geometry;
    return {
      allocations: word(L.C_LARGE_ALLOCS),
      frees: word(L.C_LARGE_FREES),
      mappedBytes: word(L.C_LARGE_PAGES) * pageSize,
      peakBytes: word(L.C_LARGE_PEAK) * pageSize,
      bySizeLog: Array.from({ length: 32 }, (_, i) => word(L.C_LARGE_LOGS + 4 * i)),
    };
  }
}

function onTick(heap: SizeClassAllocator): void {
  heap.drain();
  heap.primary.releaseFreed();
}

function coreDestroyed(): SizeClassCore {
  return new Proxy({} as SizeClassCore, {
    get: () => () => {
      throw heapDestroyed();
    },
  });
}
