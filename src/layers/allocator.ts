/** Any composition behind C's verbs. */

import { checkAlignment, checkPointer, checkSize } from "../common/checks.ts";
import { SIZE_LIMIT } from "../common/errors.ts";
import { header } from "./combine/header.ts";
import { AllocatorBase } from "./pool/allocator-base.ts";
import type { Memory, Pool } from "./pool/contract.ts";

/**
 * A pool as an allocator. Where the pool needs sizes at put, a header layer on top remembers them.
 * Arguments are checked; whether a pointer is a block is not: put a `check()` into the pool for
 * that. Not for a pool with blocks in use through get.
 */
export class Allocator extends AllocatorBase implements Disposable {
  /** The composition, with the header if there is one. */
  readonly pool: Pool;
  protected readonly backingMemory: Memory;
  /** Where the pool's block of an over-aligned one begins: a table, so that no other block pays. */
  readonly #aligned = new Map<number, number>();

  /** Use `allocator`. */
  constructor(pool: Pool) {
    super();
    this.pool = pool.traits.sized ? header()(pool) : pool;
    this.backingMemory = this.pool.memory;
  }

  malloc(size: number): number {
    checkSize(size, "size");
    return this.pool.get(size);
  }

  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = count * size;
    const ptr = bytes > SIZE_LIMIT ? 0 : this.pool.get(bytes);
    if (ptr !== 0 && !this.pool.traits.zeroed) this.u8.fill(0, ptr, ptr + bytes);
    return ptr;
  }

  /**
   * Resizes a block, moving it unless it fits and is more than half full; contents up to the
   * smaller size stay. A null pointer allocates. 0 = out of memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    if (ptr === 0) return this.malloc(size);
    checkSize(size, "size");
    const usable = this.#usable(ptr);
    if (size <= usable && size >= usable / 2) return ptr;
    return this.#move(ptr, usable, size);
  }

  free(ptr: number): void {
    checkPointer(ptr);
    if (ptr !== 0) this.#put(ptr);
  }

  /**
   * A block whose address is a multiple of `alignment`, a power of two; 0 = out of memory. Price:
   * `alignment` bytes and a table entry, where the pool is aligned to less.
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

  /** Bytes that the block at ptr can hold; 0 for null. */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return ptr === 0 ? 0 : this.#usable(ptr);
  }

  /** Ends the composition: see Pool.destroy. */
  destroy(): void {
    this.#aligned.clear();
    this.pool.destroy();
  }

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
 * malloc, free, realloc, calloc and usableSize over a pool. It is a source for `std` in turn.
 *
 * @example
 * using mine = createAllocator(pipe(std(createHeap()), chunk(), segregated()));
 * const ptr = mine.malloc(100);
 * mine.free(ptr);
 */
export function createAllocator(pool: Pool): Allocator {
  return new Allocator(pool);
}
