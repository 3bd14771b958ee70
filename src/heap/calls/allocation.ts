/**
 * What allocates, resizes, frees and asks about blocks, with every argument checked; of a heap as
 * of the heaps beside it.
 */
import { AllocatorBase } from "../../common/allocator-base.ts";
import { checkPointer, checkSize, pointerError } from "../../common/checks.ts";
import type { HeapError } from "../../common/errors.ts";
import type { WholeMemory } from "../../common/views.ts";
import type { CoreExports } from "../../core/contract.ts";

/** What the heaps of one thread share. */
export interface HeapHost {
  /** Told of every request of `new` that fails for good. */
  newFails(size: number): void;
  /** What `new` calls when memory is out. */
  newHandler: (() => void) | undefined;
  /** The memory as it is now. */
  bytes(): Uint8Array;
  /** In messages: 0 = the thread that made the memory. */
  thread: number;
}

/** The calls that C and mimalloc have for blocks of any alignment. */
export class Allocation extends AllocatorBase {
  protected core: CoreExports;
  protected readonly host: HeapHost;

  constructor(core: CoreExports, host: HeapHost, views: WholeMemory) {
    super(views);
    this.core = core;
    this.host = host;
  }

  /** A block of at least `size` bytes, aligned to 16 (8 up to 8 bytes); 0 = out of memory. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.core.malloc(size) >>> 0;
  }

  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return this.core.calloc(count, size) >>> 0;
  }

  /** A block of `size` zero bytes. */
  zalloc(size: number): number {
    checkSize(size, "size");
    return this.core.zalloc(size) >>> 0;
  }

  /** A block of `count * size` bytes; 0 also when the product is too large. */
  mallocn(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return this.core.mallocn(count, size) >>> 0;
  }

  /**
   * Resizes a block, moving it if need be; contents up to the smaller size stay. A null pointer
   * allocates; size 0 answers another, minimal block. 0 = out of memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    this.checkBlock("realloc", ptr);
    checkSize(size, "size");
    return this.core.realloc(ptr, size) >>> 0;
  }

  /** realloc to `count * size` bytes; 0 also when the product is too large. */
  reallocn(ptr: number, count: number, size: number): number {
    this.checkBlock("reallocn", ptr);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.core.reallocn(ptr, count, size) >>> 0;
  }

  /** realloc that frees ptr when it fails. */
  reallocf(ptr: number, size: number): number {
    this.checkBlock("reallocf", ptr);
    checkSize(size, "size");
    return this.core.reallocf(ptr, size) >>> 0;
  }

  /** realloc that clears what grows; for blocks that were allocated zero. */
  rezalloc(ptr: number, size: number): number {
    this.checkBlock("rezalloc", ptr);
    checkSize(size, "size");
    return this.core.rezalloc(ptr, size) >>> 0;
  }

  /** rezalloc to `count * size` bytes; 0 also when the product is too large. */
  recalloc(ptr: number, count: number, size: number): number {
    this.checkBlock("recalloc", ptr);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.core.recalloc(ptr, count, size) >>> 0;
  }

  /** ptr if its block holds `size` bytes as it is, else 0. Never moves. */
  expand(ptr: number, size: number): number {
    this.checkBlock("expand", ptr);
    checkSize(size, "size");
    return this.core.expand(ptr, size) >>> 0;
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws HeapError when ptr is no block of this heap or points into one.
   */
  free(ptr: number): void {
    checkPointer(ptr);
    const what = this.core.freeChecked(ptr);
    if (what !== 0) throw pointerError("free", what, ptr);
  }

  /** Bytes that the block at ptr can hold; 0 for null. */
  usableSize(ptr: number): number {
    this.checkBlock("usableSize", ptr);
    return ptr === 0 ? 0 : this.core.usableSize(ptr) >>> 0;
  }

  /** What usableSize of a fresh block for `size` bytes will be. */
  goodSize(size: number): number {
    checkSize(size, "size");
    return this.core.goodSize(size) >>> 0;
  }

  /** Whether an address lies in a block, live or free, of this heap. */
  contains(ptr: number): boolean {
    checkPointer(ptr);
    return !!this.core.contains(ptr);
  }

  /** @throws HeapError once the heap has ended. */
  protected checkLive(): void {
    this.core.goodSize(0);
  }

  /** Every later call throws. */
  protected end(error: () => HeapError): void {
    this.core = coreEnded(error);
  }

  protected checkBlock(call: string, ptr: number): void {
    checkPointer(ptr);
    if (ptr === 0) return;
    const what = this.core.pointerCheck(ptr);
    if (what !== 0) throw pointerError(call, what, ptr);
  }
}

/** Stands in for the core of a heap that has ended, so that no live call pays for the question. */
function coreEnded(error: () => HeapError): CoreExports {
  return new Proxy({} as CoreExports, {
    get: () => () => {
      throw error();
    },
  });
}
