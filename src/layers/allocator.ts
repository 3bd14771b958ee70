/** Any composition behind C's verbs. */
import { pointerRefuse, SIZE_LIMIT, sizeRefuse } from "../errors.ts";
import type { Pool } from "./contract.ts";
import { header } from "./header.ts";

/**
 * A pool as an allocator. Where the pool needs sizes at put, a header layer on top remembers them.
 * Arguments are checked; whether a pointer is a block is not: put a `check()` into the pool for
 * that. Not for a pool with blocks in use through get.
 */
export class Allocator implements Disposable {
  /** The composition, with the header if there is one. */
  readonly pool: Pool;

  /** Use `allocator`. */
  constructor(pool: Pool) {
    this.pool = pool.traits.sized ? header()(pool) : pool;
  }

  /** A block of at least `size` bytes, aligned to 16; 0 = out of memory. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.pool.get(size);
  }

  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
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
    const usable = this.pool.sizeOf(ptr);
    if (size <= usable && size >= usable / 2) return ptr;
    return this.#move(ptr, usable, size);
  }

  /** Frees a block; null is ignored. */
  free(ptr: number): void {
    checkPointer(ptr);
    if (ptr !== 0) this.pool.put(ptr, this.pool.sizeOf(ptr));
  }

  /** Bytes that the block at ptr can hold; 0 for null. */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return ptr === 0 ? 0 : this.pool.sizeOf(ptr);
  }

  /** The bytes, as they are now; ask again after anything that may allocate. */
  get u8(): Uint8Array {
    return this.pool.memory.bytes();
  }

  get u32(): Uint32Array {
    return this.pool.memory.u32();
  }

  /** Ends the composition: see Pool.deinit. */
  deinit(): void {
    this.pool.deinit();
  }

  [Symbol.dispose](): void {
    this.pool.deinit();
  }

  #move(ptr: number, usable: number, size: number): number {
    const to = this.pool.get(size);
    if (to === 0) return 0;
    this.u8.copyWithin(to, ptr, ptr + Math.min(usable, size));
    this.pool.put(ptr, usable);
    return to;
  }
}

/**
 * malloc, free, realloc, calloc and usableSize over a pool. It is a source for `std` in turn.
 *
 * @example
 * using mine = allocator(pipe(std(createHeap()), chunk(), segregated()));
 * const ptr = mine.malloc(100);
 * mine.free(ptr);
 */
export function allocator(pool: Pool): Allocator {
  return new Allocator(pool);
}

function checkSize(size: number, what: string): void {
  if (typeof size !== "number" || size >>> 0 !== size || size > SIZE_LIMIT) sizeRefuse(what, size);
}

function checkPointer(ptr: number): void {
  if (typeof ptr !== "number" || ptr >>> 0 !== ptr) pointerRefuse(ptr);
}
