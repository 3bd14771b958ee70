/** The typed doors: the allocator in an address space, and in linear memory with its views. */

import { checkAlignment, checkPointer, checkSize, pointerError } from "../../common/checks.ts";
import { heapDestroyed, SIZE_LIMIT } from "../../common/errors.ts";
import {
  type HeapView,
  MemoryViews,
  type TypedArray,
  type TypedArrayConstructor,
  viewOf,
} from "../../common/views.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import { millisecondsCheck, timerStart } from "../../heap/purge-timer.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { Geometry, SizeClassCore } from "../core/contract.ts";
import {
  C_LARGE_ALLOCS,
  C_LARGE_FREES,
  C_LARGE_LOGS,
  C_LARGE_PAGES,
  C_LARGE_PEAK,
  C_TOP,
  NONE,
} from "../core/layout.ts";
import { addressRefuse } from "./errors.ts";
import type { Primary } from "./primary.ts";

/** Figures of the large blocks: how many there were, are, and how much memory they take. */
export interface LargeStats {
  readonly allocations: number;
  readonly frees: number;
  /** Bytes in mappings, with the page before each block; and the most there ever were. */
  readonly mappedBytes: number;
  readonly peakBytes: number;
  /** How many there ever were with mappings of 2^i bytes up to 2^(i + 1). */
  readonly bySizeLog: readonly number[];
}

/** C's allocation functions. */
export interface SizeClassAbi extends WebAssembly.ModuleImports {
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  realloc(ptr: number, size: number): number;
  free(ptr: number): void;
  memalign(alignment: number, size: number): number;
  aligned_alloc(alignment: number, size: number): number;
  malloc_usable_size(ptr: number): number;
}

export interface AllocatorParts {
  readonly core: SizeClassCore;
  readonly primary: Primary;
  readonly geometry: Geometry;
  /** Ends the space: unmaps it, all at once. */
  end(): void;
}

/**
 * The size-class allocator over an address space: chunks from regions through a cache, larger
 * blocks in mappings of their own. Pointers may go beyond 2^32; 0 is null and never a block. Out of
 * memory answers 0; mistakes throw and change nothing. For one thread.
 *
 * Algorithm: LLVM's CombinedAllocator over SizeClassAllocator64 and LargeMmapAllocator. Where a
 * region is full, larger classes serve, as in Scudo.
 */
export class SizeClassAllocator {
  /** The regions below. */
  readonly primary: Primary;
  protected core: SizeClassCore;
  readonly #geometry: Geometry;
  readonly #end: () => void;
  #ended = false;
  #timerStop: (() => void) | undefined;

  /** Use sizeClass. */
  constructor(parts: AllocatorParts) {
    this.core = parts.core;
    this.primary = parts.primary;
    this.#geometry = parts.geometry;
    this.#end = parts.end;
  }

  /** A block of at least `size` bytes, aligned to 16; 0 = out of memory. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.address(this.core.malloc(size));
  }

  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return count * size > SIZE_LIMIT ? 0 : this.zalloc(count * size);
  }

  /** A block of `size` zero bytes. */
  zalloc(size: number): number {
    checkSize(size, "size");
    return this.address(this.core.zalloc(size));
  }

  /** A block whose address is a multiple of `alignment`, a power of two; 0 = out of memory. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.address(this.core.memalign(alignment, size));
  }

  /**
   * Resizes a block: in place if its class, or its pages, stay the same. A null pointer allocates;
   * size 0 answers a minimal block. 0 = out of memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    checkSize(size, "size");
    this.#checkBlock("realloc", ptr);
    return this.address(this.core.realloc(ptr, size));
  }

  /**
   * realloc as LLVM has it: size 0 frees the block and answers null. Not as LLVM has it, a block
   * that cannot be resized stays.
   */
  reallocate(ptr: number, size: number): number {
    if (ptr === 0 || size !== 0) return this.realloc(ptr, size);
    this.free(ptr);
    return 0;
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws HeapError when ptr is no block or points into one. A chunk that is free already is
   * found later, when its region is released: as SizeClassError ERR_DOUBLE_FREE.
   */
  free(ptr: number): void {
    this.checkAddress(ptr);
    const what = this.core.freeChecked(ptr);
    if (what !== 0) throw pointerError("free", what, ptr);
  }

  /** Bytes that the block at ptr can hold; 0 for null. */
  usableSize(ptr: number): number {
    this.#checkBlock("usableSize", ptr);
    return ptr === 0 ? 0 : this.core.usableSize(ptr) >>> 0;
  }

  /** What usableSize of a fresh block for `size` bytes will be, as long as its region has room. */
  goodSize(size: number): number {
    checkSize(size, "size");
    return this.core.goodSize(size) >>> 0;
  }

  /** Where the block that has an address begins, be it in use or free; 0 = none has it. */
  blockBegin(ptr: number): number {
    this.checkAddress(ptr);
    return this.address(this.core.blockBegin(ptr));
  }

  /** Whether an address lies in a block, live or free, of this allocator. */
  contains(ptr: number): boolean {
    return this.blockBegin(ptr) !== 0;
  }

  /**
   * Where the metadata of the block that has an address is; 0 where there is none. Chunks have
   * `metadataSize` bytes, large blocks half a page.
   */
  metadata(ptr: number): number {
    this.checkAddress(ptr);
    return this.address(this.core.metaOf(ptr));
  }

  /**
   * Calls `visit` with each chunk, in use or not, and each large block. Takes no lock: what other
   * threads allocate or free meanwhile may be visited or not.
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

  /** Gives the chunks in this thread's cache back to their regions. */
  drain(): void {
    this.core.cacheDrain(NONE);
  }

  /**
   * Drains this thread's cache at an interval, and releases what was freed since, also while the
   * program rests: frees alone release only while they happen. The timer keeps neither the process
   * nor the allocator alive. 0 ends it. Each thread that shares the allocator calls it for its own.
   *
   * @throws TypeError or RangeError for what is no number of milliseconds.
   * @example
   * const heap = sizeClass({ release: "auto" });
   * heap.releaseEvery(5000);
   */
  releaseEvery(milliseconds: number): void {
    this.core.goodSize(0); // throws if the allocator is destroyed
    millisecondsCheck(milliseconds);
    this.#timerStop?.();
    this.#timerStop = milliseconds === 0 ? undefined : timerStart(this, milliseconds, tick);
  }

  largeStats(): LargeStats {
    const word = (offset: number) => this.core.controlWord(offset) >>> 0;
    const { pageSize } = this.#geometry;
    return {
      allocations: word(C_LARGE_ALLOCS),
      frees: word(C_LARGE_FREES),
      mappedBytes: word(C_LARGE_PAGES) * pageSize,
      peakBytes: word(C_LARGE_PEAK) * pageSize,
      bySizeLog: Array.from({ length: 32 }, (_, i) => word(C_LARGE_LOGS + 4 * i)),
    };
  }

  /** Figures of regions and large blocks, in the format of LLVM. */
  printStats(): string {
    const { allocations, frees, mappedBytes, peakBytes, bySizeLog } = this.largeStats();
    const logs = bySizeLog.map((count, log) => (count === 0 ? "" : `${log}:${count}; `)).join("");
    return (
      `${this.primary.printStats()}Stats: LargeMmapAllocator: allocated ${allocations} times, ` +
      `remains ${allocations - frees} (${mappedBytes / 1024} K) ` +
      `max ${Math.floor(peakBytes / 2 ** 20)} M; by size logs: ${logs}\n`
    );
  }

  /** Ends the allocator and all its blocks: later calls throw, of `primary` too. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timerStop?.();
    this.core = coreEnded();
    this.primary.end(this.core);
    this.#end();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** What the core answers for an address. */
  protected address(p: number): number {
    return p;
  }

  protected checkAddress(ptr: number): void {
    if (!Number.isSafeInteger(ptr) || ptr < 0) addressRefuse(ptr);
  }

  #checkBlock(call: string, ptr: number): void {
    this.checkAddress(ptr);
    if (ptr === 0) return;
    const what = this.core.pointerCheck(ptr);
    if (what !== 0) throw pointerError(call, what, ptr);
  }
}

/** WebAssembly hands the JavaScript core signed numbers. */
function unsigned<F extends (...values: number[]) => unknown>(call: F): F {
  return ((a = 0, b = 0) => call(a >>> 0, b >>> 0)) as F;
}

function tick(heap: SizeClassAllocator): void {
  heap.drain();
  heap.primary.releaseFreed();
}

function coreEnded(): SizeClassCore {
  return new Proxy({} as SizeClassCore, {
    get: () => () => {
      throw heapDestroyed();
    },
  });
}

/**
 * The size-class allocator in linear memory: for one thread, or one thread's part where threads
 * share the memory. Stands wherever a heap does: under layers, regions, `debug`.
 *
 * @example
 * using heap = sizeClass();
 * const ptr = heap.malloc(100);
 * heap.u8[ptr] = 1;
 * heap.free(ptr);
 */
export class SizeClassHeap extends SizeClassAllocator {
  readonly source: MemorySource;
  readonly #backend: BackEnd;
  readonly #views: MemoryViews;

  /** Use sizeClass. */
  constructor(parts: AllocatorParts & { source: MemorySource; backend: BackEnd }) {
    super(parts);
    this.source = parts.source;
    this.#backend = parts.backend;
    this.#views = new MemoryViews(this);
    if (parts.source.capabilities.shared) this.#views.share(parts.geometry.control + C_TOP);
  }

  // The same as above, where the engine sees that addresses are 32 bits.
  override malloc(size: number): number {
    checkSize(size, "size");
    return this.core.malloc(size) >>> 0;
  }

  override free(ptr: number): void {
    checkPointer(ptr);
    const what = this.core.freeChecked(ptr);
    if (what !== 0) throw pointerError("free", what, ptr);
  }

  /** The bytes, as they are now; ask again after anything that may allocate. */
  get buffer(): ArrayBufferLike {
    return this.source.buffer;
  }

  /** The memory for a wasm module's imports; undefined over an ArrayBuffer. */
  get memory(): WebAssembly.Memory | undefined {
    return this.source.memory;
  }

  get u8(): Uint8Array {
    return this.#views.of("u8");
  }
  get i32(): Int32Array {
    return this.#views.of("i32");
  }
  get u32(): Uint32Array {
    return this.#views.of("u32");
  }
  get f64(): Float64Array {
    return this.#views.of("f64");
  }

  /** `length` elements at ptr as a view that stays right after growth. */
  view<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    ptr: number,
    length: number,
  ): HeapView<T> {
    return viewOf(this, type, ptr, length);
  }

  /**
   * C's allocation functions for the import object of a wasm module, unchecked: those of the build
   * itself, so that wasm calls wasm. Pointers above 2 GiB arrive as negative numbers.
   */
  get abi(): SizeClassAbi {
    const { malloc, calloc, realloc, free, memalign, usableSize } = this.core;
    const of: typeof unsigned = this.#backend === "js" ? unsigned : (call) => call;
    return {
      malloc: of(malloc),
      calloc: of(calloc),
      realloc: of(realloc),
      free: of(free),
      memalign: of(memalign),
      aligned_alloc: of(memalign),
      malloc_usable_size: of(usableSize),
    };
  }

  /** For the allocator itself: the memory has grown. */
  viewsReset(): void {
    this.#views.reset();
  }

  protected override address(p: number): number {
    return p >>> 0;
  }

  protected override checkAddress(ptr: number): void {
    checkPointer(ptr);
  }
}
