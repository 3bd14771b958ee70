/** The common part of allocators over layers and of regions: views, arrays and strings. */
import { checkSize } from "../../common/checks.ts";
import {
  arrayOf,
  type HeapView,
  type Lifetime,
  MemoryViews,
  stringBytes,
  stringPut,
  stringRead,
  type TypedArray,
  type TypedArrayConstructor,
  type ViewHost,
  viewOf,
  type WholeViews,
} from "../../common/views.ts";
import type { Memory } from "./contract.ts";

/**
 * The calls of C's malloc with checked arguments, and views, arrays and strings on top of them. An
 * allocator is for the thread that made it.
 *
 * Every view getter returns all of the memory as it is now. A growth of the memory detaches views:
 * read the getter again after anything that may allocate.
 */
export abstract class AllocatorBase implements ViewHost {
  #views: MemoryViews | undefined;
  #buffer: ArrayBufferLike | undefined;
  #bytes: Uint8Array | undefined;

  /** The memory that addresses are offsets in. */
  protected abstract get backingMemory(): Memory;

  /**
   * A block of at least `size` bytes, aligned to 16; 0 = out of memory.
   *
   * @param size bytes, a whole number from 0 to 2^31 - 1.
   * @throws TypeError or RangeError for a size that is not such a number.
   */
  abstract malloc(size: number): number;

  /**
   * A block of `count * size` zero bytes, aligned to 16; 0 = out of memory, or the product is above
   * 2^31 - 1.
   *
   * @throws TypeError or RangeError unless both are whole numbers from 0 to 2^31 - 1.
   */
  abstract calloc(count: number, size: number): number;

  /**
   * Resizes a block, moving it if necessary; the contents stay up to the smaller size. A null
   * pointer allocates. 0 = out of memory; the block at ptr is as it was then.
   *
   * @throws TypeError or RangeError for arguments that are not an address and a size.
   */
  abstract realloc(ptr: number, size: number): number;

  /**
   * Bytes that the block at ptr can hold; 0 for a null pointer.
   *
   * @throws TypeError or RangeError for a value that is not an address.
   */
  abstract usableSize(ptr: number): number;

  /**
   * Frees a block; a null pointer is ignored.
   *
   * @throws TypeError or RangeError for a value that is not an address.
   */
  abstract free(ptr: number): void;

  /** @internal How long views of blocks are valid; undefined: as long as the block. */
  get lifetime(): Lifetime | undefined {
    return undefined;
  }

  /** @internal The allocator that the block at ptr belongs to. */
  homeOf(_ptr: number): AllocatorBase {
    return this;
  }

  /** What it is, for people. */
  toString(): string {
    return this.constructor.name;
  }

  /** What console.log of Node, Deno and Bun shows. @internal */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `[${this.toString()}]`;
  }

  /** All bytes of the memory, as numbers from 0 to 255. */
  get u8(): Uint8Array {
    return this.backingMemory.bytes();
  }

  /** All of the memory as unsigned words of 32 bits; the word at `ptr` has the index `ptr / 4`. */
  get u32(): Uint32Array {
    return this.backingMemory.u32();
  }

  /** All bytes of the memory, as numbers from -128 to 127. */
  get i8(): Int8Array {
    return this.#whole("i8");
  }

  /** All bytes of the memory; values that are written are clamped to 0 to 255. */
  get u8c(): Uint8ClampedArray {
    return this.#whole("u8c");
  }

  /** All of the memory as signed numbers of 16 bits, at the index `ptr / 2`. */
  get i16(): Int16Array {
    return this.#whole("i16");
  }

  /** All of the memory as unsigned numbers of 16 bits, at the index `ptr / 2`. */
  get u16(): Uint16Array {
    return this.#whole("u16");
  }

  /** All of the memory as signed words of 32 bits, at the index `ptr / 4`. */
  get i32(): Int32Array {
    return this.#whole("i32");
  }

  /** All of the memory as floating-point numbers of 32 bits, at the index `ptr / 4`. */
  get f32(): Float32Array {
    return this.#whole("f32");
  }

  /** All of the memory as floating-point numbers of 64 bits, at the index `ptr / 8`. */
  get f64(): Float64Array {
    return this.#whole("f64");
  }

  /** All of the memory as signed BigInts of 64 bits, at the index `ptr / 8`. */
  get i64(): BigInt64Array {
    return this.#whole("i64");
  }

  /** All of the memory as unsigned BigInts of 64 bits, at the index `ptr / 8`. */
  get u64(): BigUint64Array {
    return this.#whole("u64");
  }

  /** The buffer of the memory as it is now; growth may replace it. */
  get buffer(): ArrayBufferLike {
    return this.backingMemory.bytes().buffer;
  }

  /**
   * `length` elements at ptr as a view that stays valid when the memory grows.
   *
   * @throws RangeError when ptr is not a multiple of the element size, or the view would end past
   * the memory.
   * @example
   * const xs = allocator.view(Float64Array, ptr, 10);
   * xs.array[0] = 1;
   */
  view<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    ptr: number,
    length: number,
  ): HeapView<T> {
    return viewOf(this, type, ptr, length);
  }

  /**
   * Allocates `length` zero elements and returns them as a view; free them with `view.free()`.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   * @example
   * using xs = allocator.allocArray(Float64Array, 100);
   */
  allocArray<T extends TypedArray>(type: TypedArrayConstructor<T>, length: number): HeapView<T> {
    checkSize(length, "length");
    return arrayOf(this, type, this.calloc(length, type.BYTES_PER_ELEMENT), length);
  }

  /**
   * Allocates a block for a text and writes it there as UTF-8, followed by a NUL if `terminate`.
   * The length of the view counts the bytes of the text, not the NUL.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; TypeError when text is not a string.
   * @example
   * const name = allocator.allocString("grün", { terminate: true });
   * name.length; // 5
   */
  allocString(text: string, { terminate }: { terminate?: boolean } = {}): HeapView<Uint8Array> {
    const bytes = stringBytes(text, terminate);
    return stringPut(this, this.malloc(bytes.length), bytes, terminate);
  }

  /**
   * The UTF-8 text of `length` bytes at ptr; without a length, the text up to a NUL or the end of
   * the memory.
   *
   * @throws TypeError or RangeError for arguments that are not an address and a length.
   */
  readString(ptr: number, length?: number): string {
    return stringRead(this, ptr, length);
  }

  #whole<K extends keyof WholeViews>(name: K): WholeViews[K] {
    const bytes = this.backingMemory.bytes();
    if (bytes === this.#bytes && this.#views) return this.#views.of(name);
    return this.#renew(bytes).of(name);
  }

  /** Compares buffers as well: a buffer may be replaced without being detached. */
  #renew(bytes: Uint8Array): MemoryViews {
    this.#bytes = bytes;
    const { buffer } = bytes;
    if (buffer !== this.#buffer || !this.#views) this.#views = new MemoryViews(this);
    this.#buffer = buffer;
    return this.#views;
  }
}
