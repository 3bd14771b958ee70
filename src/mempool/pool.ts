/** MemPool as @thi.ng/malloc has it: the same options, the same addresses, the same figures. */
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
import { Blocks, HEADER } from "./blocks.ts";

/**
 * A pool of blocks in one buffer that does not grow, first fit by address. All that it knows is in
 * the buffer, so a pool can be sent, stored, and opened again with `skipInitialization`; instances
 * over one buffer work in turns, not at the same time.
 *
 * Requests that are no positive number answer 0 or undefined and change nothing. For threads, for
 * growth, and for malloc in constant time: createHeap.
 *
 * @example
 * const pool = new MemPool({ size: 0x1000 });
 * const vec = pool.mallocAs("f32", 4);
 * pool.free(vec); // true
 * pool.free(vec); // false
 */
export class MemPool implements IMemPool {
  /** The memory; undefined after release. */
  buf: ArrayBufferLike;
  #bytes: Uint8Array | undefined;
  #blocks: Blocks | undefined;

  /**
   * @throws TypeError when `buf` is no buffer; RangeError for values out of range, for a region
   * without room, and with `skipInitialization` where no pool is.
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

  malloc(size: number): number {
    const blocks = this.#current();
    if (!isSize(size)) return 0;
    const block = blocks.take(blocks.sizeFor(size));
    return block === 0 ? 0 : block + HEADER;
  }

  calloc(size: number, fill = 0): number {
    const ptr = this.malloc(size);
    if (ptr !== 0) this.#bytes?.fill(fill, ptr, ptr + size);
    return ptr;
  }

  mallocAs<T extends Type>(type: T, num: number): TypedArrayOf<T> | undefined {
    const elements = constructorOf(type);
    const ptr = this.malloc(num * elements.BYTES_PER_ELEMENT);
    if (ptr === 0) return undefined;
    return viewOf(elements, this.buf, ptr, num) as TypedArrayOf<T>;
  }

  callocAs<T extends Type>(type: T, num: number, fill = 0): TypedArrayOf<T> | undefined {
    const array = this.mallocAs(type, num);
    if (array) arrayFill(array, fill);
    return array;
  }

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

  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined {
    if (array.buffer !== this.buf) return undefined;
    const ptr = this.realloc(array.byteOffset, num * array.BYTES_PER_ELEMENT);
    if (ptr === 0) return undefined;
    return viewOf(array.constructor, this.buf, ptr, num) as T;
  }

  free(ptr: number | TypedArray): boolean {
    const blocks = this.#current();
    const block = this.#addressOf(ptr) - HEADER;
    if (!blocks.isUsed(block)) return false;
    blocks.give(block);
    return true;
  }

  freeAll(): void {
    this.#current().clear();
  }

  release(): boolean {
    this.#bytes = undefined;
    this.#blocks = undefined;
    this.buf = undefined as unknown as ArrayBufferLike;
    return true;
  }

  /** Address of what `free` was given; 0 = none of ours. */
  #addressOf(ptr: number | TypedArray): number {
    if (typeof ptr === "number") return ptr;
    if (ptr === null || ptr === undefined) throw new TypeError(`free: ${ptr} is no address`);
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
  if (start + 28 > bytes) throw new RangeError(`no room for a pool from ${start} to ${bytes}`);
}

function checkLimits(align: number, minSplit: number): void {
  if (!Number.isInteger(align) || align < 8 || align > 2 ** 30 || (align & (align - 1)) !== 0) {
    throw new RangeError(`align must be a power of two from 8 to 1073741824, not ${align}`);
  }
  if (!Number.isInteger(minSplit) || minSplit < 9) {
    throw new RangeError(`minSplit must be a whole number of at least 9, not ${minSplit}`);
  }
}
