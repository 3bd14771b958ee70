/** What every door to memory has, whoever serves it: checked arguments, views and strings. */
import { checkSize } from "../../common/checks.ts";
import {
  arrayOf,
  type HeapView,
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

/** C's verbs, and what they make possible. */
export abstract class AllocatorBase implements ViewHost {
  #views: MemoryViews | undefined;
  #buffer: ArrayBufferLike | undefined;

  /** The memory that addresses lie in. */
  protected abstract get backingMemory(): Memory;
  /** A block of at least `size` bytes, aligned to 16; 0 = out of memory. */
  abstract malloc(size: number): number;
  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
  abstract calloc(count: number, size: number): number;
  /** Resizes a block, moving it if need be; a null pointer allocates. 0 = out of memory. */
  abstract realloc(ptr: number, size: number): number;
  /** Bytes that the block at ptr can hold; 0 for null. */
  abstract usableSize(ptr: number): number;
  /** Frees a block; null is ignored. */
  abstract free(ptr: number): void;

  /** The bytes, as they are now; ask again after anything that may allocate. */
  get u8(): Uint8Array {
    return this.backingMemory.bytes();
  }
  get u32(): Uint32Array {
    return this.backingMemory.u32();
  }
  get i8(): Int8Array {
    return this.#whole("i8");
  }
  get u8c(): Uint8ClampedArray {
    return this.#whole("u8c");
  }
  get i16(): Int16Array {
    return this.#whole("i16");
  }
  get u16(): Uint16Array {
    return this.#whole("u16");
  }
  get i32(): Int32Array {
    return this.#whole("i32");
  }
  get f32(): Float32Array {
    return this.#whole("f32");
  }
  get f64(): Float64Array {
    return this.#whole("f64");
  }
  get i64(): BigInt64Array {
    return this.#whole("i64");
  }
  get u64(): BigUint64Array {
    return this.#whole("u64");
  }
  get buffer(): ArrayBufferLike {
    return this.backingMemory.bytes().buffer;
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
   * A new block of `length` zero elements as a view.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocArray<T extends TypedArray>(type: TypedArrayConstructor<T>, length: number): HeapView<T> {
    checkSize(length, "length");
    return arrayOf(this, type, this.calloc(length, type.BYTES_PER_ELEMENT), length);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate`. The view's length counts
   * the bytes of the text, not the NUL.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocString(text: string, { terminate }: { terminate?: boolean } = {}): HeapView<Uint8Array> {
    const bytes = stringBytes(text, terminate);
    return stringPut(this, this.malloc(bytes.length), bytes, terminate);
  }

  /** The UTF-8 text of `length` bytes at ptr, or up to a NUL when no length is given. */
  readString(ptr: number, length?: number): string {
    return stringRead(this, ptr, length);
  }

  /** A buffer may be replaced without being detached, so it is asked for each time. */
  #whole<K extends keyof WholeViews>(name: K): WholeViews[K] {
    const { buffer } = this;
    if (buffer !== this.#buffer || !this.#views) this.#views = new MemoryViews(this);
    this.#buffer = buffer;
    return this.#views.of(name);
  }
}
