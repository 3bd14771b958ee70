/** What every allocator has besides its calls: views of its memory, arrays and strings. */
import { checkSize } from "./checks.ts";
import {
  arrayOf,
  type HeapView,
  stringBytes,
  stringPut,
  stringRead,
  type TypedArray,
  type TypedArrayConstructor,
  type ViewHost,
  viewOf,
  type WholeMemory,
} from "./views.ts";

/**
 * An allocator over linear memory: pointers are byte offsets into `buffer`. A subclass says where
 * the memory is and has the calls that this class stands on.
 */
export abstract class AllocatorBase implements ViewHost {
  /** Where the views of the whole memory come from. */
  protected readonly views: WholeMemory;

  constructor(views: WholeMemory) {
    this.views = views;
  }

  /** A block of at least `size` bytes; 0 = out of memory. */
  abstract malloc(size: number): number;
  /** A block of `count * size` zero bytes; 0 = out of memory, or a product beyond 2^31 - 1. */
  abstract calloc(count: number, size: number): number;
  /** Frees a block; null is ignored. */
  abstract free(ptr: number): void;

  /** The kind of allocator and the size of its memory, for people. */
  toString(): string {
    return textOf(this);
  }

  /** What console.log of Node, Deno and Bun shows. @internal */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `[${this.toString()}]`;
  }

  /** The memory as it is now. Take it anew after every call that may allocate. */
  get buffer(): ArrayBufferLike {
    return this.views.buffer;
  }

  /** The whole memory as signed bytes. Take it anew after every call that may allocate. */
  get i8(): Int8Array {
    return this.views.of("i8");
  }

  /**
   * The whole memory as bytes, so that a pointer is an index. Take it anew after every call that
   * may allocate: growth of the memory leaves an old one empty.
   *
   * @example
   * const ptr = heap.malloc(4);
   * heap.u8.fill(0, ptr, ptr + 4);
   */
  get u8(): Uint8Array {
    return this.views.of("u8");
  }

  /** As `u8`; stores of values outside 0 to 255 take the nearest of these. */
  get u8c(): Uint8ClampedArray {
    return this.views.of("u8c");
  }

  /** The whole memory as signed words of 16 bits: a pointer divided by 2 is an index. */
  get i16(): Int16Array {
    return this.views.of("i16");
  }

  /** The whole memory as words of 16 bits: a pointer divided by 2 is an index. */
  get u16(): Uint16Array {
    return this.views.of("u16");
  }

  /** The whole memory as signed words of 32 bits: a pointer divided by 4 is an index. */
  get i32(): Int32Array {
    return this.views.of("i32");
  }

  /** The whole memory as words of 32 bits: a pointer divided by 4 is an index. */
  get u32(): Uint32Array {
    return this.views.of("u32");
  }

  /** The whole memory as floats of 32 bits: a pointer divided by 4 is an index. */
  get f32(): Float32Array {
    return this.views.of("f32");
  }

  /** The whole memory as floats of 64 bits: a pointer divided by 8 is an index. */
  get f64(): Float64Array {
    return this.views.of("f64");
  }

  /** The whole memory as signed words of 64 bits: a pointer divided by 8 is an index. */
  get i64(): BigInt64Array {
    return this.views.of("i64");
  }

  /** The whole memory as words of 64 bits: a pointer divided by 8 is an index. */
  get u64(): BigUint64Array {
    return this.views.of("u64");
  }

  /**
   * `length` elements at ptr as a view that stays right after growth of the memory. It allocates
   * nothing: the elements must be there.
   *
   * @throws RangeError when ptr is not a multiple of the element size, or the memory ends before.
   * @example
   * const ptr = heap.malloc(80);
   * const xs = heap.view(Float64Array, ptr, 10);
   */
  view<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    ptr: number,
    length: number,
  ): HeapView<T> {
    return viewOf(this, type, ptr, length);
  }

  /**
   * A new block of `length` zero elements as a view, whose `free` frees the block.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   * @example
   * using xs = heap.allocArray(Float64Array, 3);
   * xs.set([1, 2, 3]);
   */
  allocArray<T extends TypedArray>(type: TypedArrayConstructor<T>, length: number): HeapView<T> {
    checkSize(length, "length");
    return arrayOf(this, type, this.calloc(length, type.BYTES_PER_ELEMENT), length);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate` is true. The view's length
   * counts the bytes of the text, not the NUL.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   * @throws TypeError when `text` is not a string.
   * @example
   * using path = heap.allocString("/tmp", { terminate: true });
   */
  allocString(text: string, { terminate }: { terminate?: boolean } = {}): HeapView<Uint8Array> {
    const bytes = stringBytes(text, terminate);
    return stringPut(this, this.malloc(bytes.length), bytes, terminate);
  }

  /** The UTF-8 text of `length` bytes at ptr; without a length, of the bytes before a NUL. */
  readString(ptr: number, length?: number): string {
    return stringRead(this, ptr, length);
  }
}

function textOf(allocator: AllocatorBase): string {
  const { name } = allocator.constructor;
  try {
    return `${name} over ${allocator.buffer.byteLength / 1024} KiB`;
  } catch {
    return `${name} that has ended`;
  }
}
