/** Any composition as an allocator with the calls of C. */

import { checkAlignment, checkPointer, checkSize } from "../common/checks.ts";
import { SIZE_LIMIT } from "../common/errors.ts";
import { header } from "./combine/header.ts";
import { AllocatorBase } from "./pool/allocator-base.ts";
import type { Memory, Pool } from "./pool/contract.ts";
import { requirePool } from "./pool/errors.ts";

/**
 * A pool as an allocator. A pool that needs sizes at put gets a header layer on top, which keeps
 * them. Arguments are checked, but not whether a pointer is a block: put a `check()` into the pool
 * for that. Do not pass a pool that has blocks in use through `get`.
 */
export class Allocator extends AllocatorBase implements Disposable {
  /** The composition, with the header layer if it has one. */
  readonly pool: Pool;
  protected readonly backingMemory: Memory;
  /**
   * The pool's block for each over-aligned one that begins elsewhere. A table, because a flag in a
   * header would cost all other blocks.
   */
  readonly #aligned = new Map<number, number>();

  /** Use `createAllocator`. */
  constructor(pool: Pool) {
    super();
    requirePool("createAllocator", pool);
    this.pool = pool.traits.sized ? header()(pool) : pool;
    this.backingMemory = this.pool.memory;
  }

  /** The pool that serves it, and its layers. */
  override toString(): string {
    return `Allocator over ${this.pool}`;
  }

  /**
   * A block of at least `size` bytes, aligned to `pool.traits.alignment`; 0 = out of memory.
   *
   * @throws TypeError or RangeError unless size is a whole number from 0 to 2^31 - 1; LayerError
   * what a layer has found.
   */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.pool.get(size);
  }

  /**
   * A block of `count * size` zero bytes; 0 = out of memory, or the product is above 2^31 - 1.
   *
   * @throws TypeError or RangeError unless both are whole numbers from 0 to 2^31 - 1.
   */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = count * size;
    const ptr = bytes > SIZE_LIMIT ? 0 : this.pool.get(bytes);
    if (ptr !== 0 && !this.pool.traits.zeroed) this.u8.fill(0, ptr, ptr + bytes);
    return ptr;
  }

  /**
   * Resizes a block; the contents stay up to the smaller size. The block moves unless the new size
   * fits and is at least half of the old one. A null pointer allocates. 0 = out of memory; the
   * block at ptr is as it was then. A block from `memalign` that moves has the alignment of the
   * pool.
   *
   * @throws TypeError or RangeError for arguments that are not an address and a size.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    if (ptr === 0) return this.malloc(size);
    checkSize(size, "size");
    const usable = this.#usable(ptr);
    if (size <= usable && size >= usable / 2) return ptr;
    return this.#move(ptr, usable, size);
  }

  /**
   * Frees a block; a null pointer is ignored.
   *
   * @throws TypeError or RangeError for a value that is not an address; LayerError what a layer has
   * found.
   */
  free(ptr: number): void {
    checkPointer(ptr);
    if (ptr !== 0) this.#put(ptr);
  }

  /**
   * A block whose address is a multiple of `alignment`; 0 = out of memory. Price: `alignment` bytes
   * more and a table entry, where the pool is aligned to less.
   *
   * @param alignment a power of two up to 2^30.
   * @throws TypeError or RangeError for another alignment or size.
   */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    const has = this.pool.traits.alignment;
    if (alignment <= has) return this.pool.get(size);
    const raw = this.pool.get(size + alignment - has);
    const ptr = Math.ceil(raw / alignment) * alignment;
    if (ptr !== raw) this.#aligned.set(ptr, raw);
    return ptr;
  }

  /**
   * Bytes that the block at ptr can hold; 0 for a null pointer.
   *
   * @throws TypeError or RangeError for a value that is not an address.
   */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return ptr === 0 ? 0 : this.#usable(ptr);
  }

  /**
   * Destroys the composition: see `Pool.destroy`. The allocator can be used again afterwards.
   *
   * @throws LayerError what a layer has found, after everything has been given back.
   */
  destroy(): void {
    this.#aligned.clear();
    this.pool.destroy();
  }

  /** `destroy`, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  #usable(ptr: number): number {
    const raw = this.#aligned.get(ptr) ?? ptr;
    return this.pool.sizeOf(raw) - (ptr - raw);
  }

  #put(ptr: number): void {
    const raw = this.#aligned.size === 0 ? ptr : (this.#aligned.get(ptr) ?? ptr);
    if (raw !== ptr) this.#aligned.delete(ptr);
    this.pool.put(raw, this.pool.sizeOf(raw));
  }

  #move(ptr: number, usable: number, size: number): number {
    const to = this.pool.get(size);
    if (to === 0) return 0;
    this.u8.copyWithin(to, ptr, ptr + Math.min(usable, size));
    this.#put(ptr);
    return to;
  }
}

/**
 * malloc, free, realloc, calloc, memalign and usableSize over a pool. The result is a heap for
 * `std` again. For the thread that made the pool.
 *
 * @example
 * using mine = createAllocator(pipe(std(createHeap()), chunk(), segregated()));
 * const ptr = mine.malloc(100);
 * mine.free(ptr);
 */
export function createAllocator(pool: Pool): Allocator {
  return new Allocator(pool);
}
