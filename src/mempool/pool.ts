/** MemPool as @thi.ng/malloc has it: the same options, the same addresses, the same statistics. */
import {
  arrayFill,
  constructorOf,
  type IMemPool,
  type MemPoolOpts,
  type MemPoolStats,
  type Type,
  type TypedArray,
  type TypedArrayOf,
} from "./api.ts";
import { Blocks, HEADER, noSpace } from "./blocks.ts";

/**
 * A pool of blocks in one buffer that does not grow, first fit by address. All of its state is in
 * the buffer, so that a pool can be sent, stored, and opened again with `skipInitialization`.
 * Several instances over one buffer may work in turns, but not at the same time.
 *
 * Requests that are not a positive number below 2^32 return 0 or undefined and change nothing. For
 * threads, growth, and malloc in constant time use createHeap.
 *
 * @example
 * const pool = new MemPool({ size: 0x1000 });
 * const vec = pool.mallocAs("f32", 4);
 * pool.free(vec); // true
 * pool.free(vec); // false
 */
export class MemPool implements IMemPool {
  /** The memory; undefined after `release`. */
  buf: ArrayBufferLike;
  #bytes: Uint8Array | undefined;
  #blocks: Blocks | undefined;

  /**
   * @throws TypeError when `buf` is not a buffer; RangeError for values out of range, for a range
   * that cannot hold a pool, and with `skipInitialization` where there is no pool.
   */
  constructor(options: Partial<MemPoolOpts> = {}) {
    const { size = 0x1000, start = 0, align = 8, minSplit = 16 } = options;
    const { compact = true, split = true, skipInitialization = false } = options;
    checkBuffer(options.buf);
    this.buf = options.buf ?? new ArrayBuffer(size);
    checkRegion(this.buf.byteLength, start);
    checkLimits(align, minSplit);
    this.#bytes = new Uint8Array(this.buf);
    this.#blocks = new Blocks(this.buf, start);
    if (skipInitialization) {
      this.#blocks.join();
    } else {
      const end = Math.min(options.end ?? this.buf.byteLength, this.buf.byteLength);
      this.#blocks.begin(end, { align, compact, split, minSplit });
    }
  }

  /**
   * Statistics as they are now.
   *
   * @throws TypeError after `release`.
   */
  stats(): Readonly<MemPoolStats> {
    const blocks = this.#current();
    const { top, freeSize } = blocks;
    return {
      free: { count: blocks.freeCount, size: freeSize },
      used: { count: blocks.usedCount, size: top - blocks.first - freeSize },
      top,
      available: blocks.end - top + freeSize,
      total: this.buf.byteLength,
    };
  }

  /**
   * Address of a block of `size` bytes, rounded up; 0 = no space.
   *
   * @throws TypeError after `release`.
   */
  malloc(size: number): number {
    const blocks = this.#current();
    if (!isSize(size)) return 0;
    const block = blocks.take(blocks.sizeFor(size));
    return block === 0 ? 0 : block + HEADER;
  }

  /** As malloc, with the bytes set to `fill`. */
  calloc(size: number, fill = 0): number {
    const ptr = this.malloc(size);
    if (ptr !== 0) this.#bytes?.fill(fill, ptr, ptr + size);
    return ptr;
  }

  /**
   * Allocates a typed array of `num` elements, which are not cleared; undefined = no space.
   *
   * @throws TypeError for an unknown type, and after `release`.
   */
  mallocAs<T extends Type>(type: T, num: number): TypedArrayOf<T> | undefined {
    const elements = constructorOf(type);
    const ptr = this.malloc(num * elements.BYTES_PER_ELEMENT);
    if (ptr === 0) return undefined;
    return viewOf(elements, this.buf, ptr, num) as TypedArrayOf<T>;
  }

  /** As mallocAs, with every element set to `fill`. */
  callocAs<T extends Type>(type: T, num: number, fill = 0): TypedArrayOf<T> | undefined {
    const array = this.mallocAs(type, num);
    if (array) arrayFill(array, fill);
    return array;
  }

  /**
   * Resizes a block and returns its address, which may be new; 0 = no space, or not a block.
   *
   * @throws TypeError after `release`.
   */
  realloc(ptr: number, size: number): number {
    const blocks = this.#current();
    const block = typeof ptr === "number" ? ptr - HEADER : 0;
    if (!isSize(size) || !blocks.isUsed(block)) return 0;
    const want = blocks.sizeFor(size);
    if (blocks.resize(block, want)) return ptr;
    const moved = blocks.take(want);
    if (moved === 0) return 0;
    this.#bytes?.copyWithin(moved + HEADER, ptr, block + blocks.sizeOf(block));
    blocks.give(block);
    return moved + HEADER;
  }

  /**
   * Resizes a typed array of the pool to `num` elements and returns the new one, with the old
   * contents; undefined = no space, or the array is not from this pool.
   *
   * @throws TypeError after `release`.
   */
  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined {
    if (array.buffer !== this.buf) return undefined;
    const ptr = this.realloc(array.byteOffset, num * array.BYTES_PER_ELEMENT);
    if (ptr === 0) return undefined;
    return viewOf(array.constructor, this.buf, ptr, num) as T;
  }

  /**
   * Frees the block at an address or of a typed array; false = it is not a block in use.
   *
   * @throws TypeError for null and undefined, and after `release`.
   */
  free(ptr: number | TypedArray): boolean {
    const blocks = this.#current();
    const block = this.#addressOf(ptr) - HEADER;
    if (!blocks.isUsed(block)) return false;
    blocks.give(block);
    return true;
  }

  /**
   * Frees all blocks.
   *
   * @throws TypeError after `release`.
   */
  freeAll(): void {
    this.#current().clear();
  }

  /** Ends the pool: it forgets the memory, and later calls throw. Returns true. */
  release(): boolean {
    this.#bytes = undefined;
    this.#blocks = undefined;
    this.buf = undefined as unknown as ArrayBufferLike;
    return true;
  }

  /** The address for an argument of `free`; 0 = a typed array of another buffer. */
  #addressOf(ptr: number | TypedArray): number {
    if (typeof ptr === "number") return ptr;
    if (ptr === null || ptr === undefined) throw new TypeError(`free: ${ptr} is not an address`);
    return ptr.buffer === this.buf ? ptr.byteOffset : 0;
  }

  #current(): Blocks {
    if (!this.#blocks) throw new TypeError("the pool has been released");
    this.#blocks.sync();
    return this.#blocks;
  }
}

type View = new (buffer: ArrayBufferLike, at: number, length: number) => TypedArray;

function viewOf(type: unknown, buffer: ArrayBufferLike, at: number, num: number): TypedArray {
  return new (type as View)(buffer, at, Math.floor(num));
}

function isSize(size: number): boolean {
  return typeof size === "number" && size > 0 && size < 2 ** 32;
}

function checkBuffer(buffer: unknown): void {
  if (buffer === undefined || buffer instanceof ArrayBuffer) return;
  if (typeof SharedArrayBuffer === "function" && buffer instanceof SharedArrayBuffer) return;
  throw new TypeError("buf must be an ArrayBuffer or a SharedArrayBuffer");
}

function checkRegion(bytes: number, start: number): void {
  if (bytes % 4 !== 0) throw new RangeError(`buf must be a multiple of 4 bytes long, not ${bytes}`);
  if (!Number.isInteger(start) || start < 0 || start % 4 !== 0) {
    throw new RangeError(`start must be a multiple of 4, not ${start}`);
  }
  if (start + 28 > bytes) throw noSpace(start, bytes);
}

function checkLimits(align: number, minSplit: number): void {
  if (!Number.isInteger(align) || align < 8 || align > 2 ** 30 || (align & (align - 1)) !== 0) {
    throw new RangeError(`align must be a power of two from 8 to 1073741824, not ${align}`);
  }
  if (!Number.isInteger(minSplit) || minSplit < 9) {
    throw new RangeError(`minSplit must be a whole number of at least 9, not ${minSplit}`);
  }
}
