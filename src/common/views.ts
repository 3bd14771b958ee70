/**
 * Typed arrays over a heap. Growth of a memory that is not shared detaches every typed array over
 * it, so a program that keeps one across an allocation needs a handle that makes a new one: a
 * HeapView.
 */
import { checkPointer, checkSize } from "./checks.ts";
import { misaligned, outOfMemory, rangeError } from "./errors.ts";

/** Every typed array that the language has. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** The constructor of a typed array: `Uint8Array`, `Float64Array` and the others. */
export interface TypedArrayConstructor<T extends TypedArray> {
  /** Bytes of one element: 1, 2, 4 or 8. */
  readonly BYTES_PER_ELEMENT: number;
  /** Its name, for messages. */
  readonly name: string;
  /** An array of `length` elements over a buffer, from byte `offset` on. */
  new (buffer: ArrayBufferLike, offset?: number, length?: number): T;
}

/** What a view of some elements needs of their heap. */
export interface ViewHost {
  /** The memory as it is now. */
  readonly buffer: ArrayBufferLike;
  /** Frees the block at ptr. */
  free(ptr: number): void;
  /** Once it is over, `buffer` throws: the memory is not the host's any more. */
  readonly lifetime?: Lifetime | undefined;
}

/** How long a memory belongs to a host. One class for all of them keeps the look at it cheap. */
export class Lifetime {
  /** Whether it has ended. */
  isOver = false;
}

/** Of hosts whose memory is theirs as long as a view can be reached. */
const endless: Lifetime = /* @__PURE__ */ new Lifetime();

/**
 * `length` elements at `ptr` of a heap, right also after the memory has grown.
 *
 * Take `array` into a local for a loop, and take it anew after anything that may allocate:
 * a typed array itself is empty once the memory has moved. Reading `array` costs a comparison.
 *
 * @example
 * const xs = heap.allocArray(Float64Array, 3);
 * xs.array.set([1, 2, 3]);
 * heap.malloc(1e6);
 * xs.at(2); // 3
 * xs.free();
 */
export class HeapView<T extends TypedArray> {
  /** Address of the first element in bytes. */
  readonly ptr: number;
  /** Number of elements. */
  readonly length: number;
  readonly #host: ViewHost;
  readonly #type: TypedArrayConstructor<T>;
  readonly #lifetime: Lifetime;
  #array: T;

  /**
   * Use `view`, `allocArray` or `allocString` of a heap.
   *
   * @throws RangeError when ptr is not a multiple of the element size, or the memory ends before
   * the last element.
   */
  constructor(host: ViewHost, type: TypedArrayConstructor<T>, ptr: number, length: number) {
    const size = type.BYTES_PER_ELEMENT;
    if (ptr % size !== 0) throw misaligned(type.name, ptr, size);
    const limit = host.buffer.byteLength;
    if (ptr + length * size > limit) throw rangeError(ptr, length * size, limit);
    this.#host = host;
    this.#type = type;
    this.#lifetime = host.lifetime ?? endless;
    this.ptr = ptr;
    this.length = length;
    this.#array = new type(host.buffer, ptr, length);
  }

  /**
   * The elements as a typed array over the memory as it is now.
   *
   * @throws LayerError ERR_REGION_ENDED when the view is of a region that has ended.
   */
  get array(): T {
    const array = this.#array;
    return array.length === this.length && !this.#lifetime.isOver ? array : this.#renewed();
  }

  /** Bytes of all elements together. */
  get byteLength(): number {
    return this.length * this.#type.BYTES_PER_ELEMENT;
  }

  /** The element at an index; negative ones count from the end. Undefined outside. */
  at(index: number): T[number] | undefined {
    return this.array.at(index);
  }

  /**
   * Copies values to the elements from index `offset` on. Returns the view.
   *
   * @throws RangeError when they do not fit.
   */
  set(values: ArrayLike<T[number]>, offset = 0): this {
    (this.array as { set(values: ArrayLike<T[number]>, offset: number): void }).set(values, offset);
    return this;
  }

  /** The elements in order, as they are when each is asked for. */
  [Symbol.iterator](): IterableIterator<T[number]> {
    return this.array[Symbol.iterator]() as IterableIterator<T[number]>;
  }

  /** Frees the block at `ptr`. The view must not be used any more. */
  free(): void {
    this.#host.free(this.ptr);
  }

  /** `free`, at the end of a scope that declares the view with `using`. */
  [Symbol.dispose](): void {
    this.free();
  }

  #renewed(): T {
    this.#array = new this.#type(this.#host.buffer, this.ptr, this.length);
    return this.#array;
  }
}

/** What strings need of their heap. */
interface StringHost extends ViewHost {
  readonly u8: Uint8Array;
}

/** A view of elements that are there; pointer and length are checked. */
export function viewOf<T extends TypedArray>(
  host: ViewHost,
  type: TypedArrayConstructor<T>,
  ptr: number,
  length: number,
): HeapView<T> {
  checkPointer(ptr);
  checkSize(length, "length");
  return new HeapView(host, type, ptr, length);
}

/** The view of a block that was allocated for `length` elements; 0 = it could not be. */
export function arrayOf<T extends TypedArray>(
  host: ViewHost,
  type: TypedArrayConstructor<T>,
  ptr: number,
  length: number,
): HeapView<T> {
  if (ptr === 0) throw outOfMemory("allocArray", length * type.BYTES_PER_ELEMENT);
  return new HeapView(host, type, ptr, length);
}

/** What allocString writes: UTF-8, with a NUL behind it if `terminate`. */
export function stringBytes(text: string, terminate: boolean | undefined): Uint8Array {
  if (typeof text !== "string") throw new TypeError(`text must be a string, not ${typeof text}`);
  return new TextEncoder().encode(terminate ? `${text}\0` : text);
}

/** Writes that to a block which was allocated for it; 0 = it could not be. */
export function stringPut(
  host: StringHost,
  ptr: number,
  bytes: Uint8Array,
  terminate: boolean | undefined,
): HeapView<Uint8Array> {
  const length = bytes.length - (terminate ? 1 : 0);
  if (ptr === 0) throw outOfMemory("allocString", length);
  host.u8.set(bytes, ptr);
  return new HeapView(host, Uint8Array as TypedArrayConstructor<Uint8Array>, ptr, length);
}

/** The text of `length` bytes, or up to a NUL. */
export function stringRead(host: StringHost, ptr: number, length: number | undefined): string {
  checkPointer(ptr);
  if (length !== undefined) checkSize(length, "length");
  const bytes = host.u8;
  const end = length === undefined ? bytes.indexOf(0, ptr) : ptr + length;
  return new TextDecoder().decode(bytes.slice(ptr, end < 0 ? undefined : end));
}

/** Every kind of view of the whole memory, under the name that allocators have for it. */
export interface WholeViews {
  i8: Int8Array;
  u8: Uint8Array;
  u8c: Uint8ClampedArray;
  i16: Int16Array;
  u16: Uint16Array;
  i32: Int32Array;
  u32: Uint32Array;
  f32: Float32Array;
  f64: Float64Array;
  i64: BigInt64Array;
  u64: BigUint64Array;
}

/** Where an allocator has the views of its whole memory from. */
export interface WholeMemory {
  /** The memory as it is now. */
  readonly buffer: ArrayBufferLike;
  /** The whole memory as one kind of typed array. */
  of<K extends keyof WholeViews>(name: K): WholeViews[K];
}

const kinds: { [K in keyof WholeViews]: TypedArrayConstructor<WholeViews[K]> } = {
  i8: Int8Array,
  u8: Uint8Array,
  u8c: Uint8ClampedArray,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
};

/** The views of a memory that tells of its growth: made when asked for, and again after it. */
export class MemoryViews implements WholeMemory {
  readonly #host: Pick<WholeMemory, "buffer">;
  #made: Partial<WholeViews> = {};
  /** One word: the size of a shared memory in slices. */
  #top: Uint32Array | undefined;

  constructor(host: Pick<WholeMemory, "buffer">) {
    this.#host = host;
  }

  get buffer(): ArrayBufferLike {
    return this.#host.buffer;
  }

  /** Bytes that a memory has at least which other threads may grow; 0 = only this one grows it. */
  get least(): number {
    return this.#top === undefined ? 0 : this.#top[0]! * 65536;
  }

  /** Tells where a memory that other threads may grow has its size, in slices. */
  share(address: number): void {
    this.#top = new Uint32Array(this.#host.buffer, address, 1);
  }

  /** Forgets all views: the memory has grown. */
  reset(): void {
    this.#made = {};
  }

  /**
   * A length of 0 betrays a memory that other code has grown. Views of a shared one stay, but end
   * too early.
   */
  of<K extends keyof WholeViews>(name: K): WholeViews[K] {
    const made = this.#made[name];
    if (made === undefined || made.length === 0) return this.#make(name);
    if (this.#top !== undefined && made.byteLength < this.least) return this.#make(name);
    return made;
  }

  #make<K extends keyof WholeViews>(name: K): WholeViews[K] {
    const { buffer } = this.#host;
    const type = kinds[name];
    const view = new type(buffer, 0, Math.floor(buffer.byteLength / type.BYTES_PER_ELEMENT));
    this.#made[name] = view;
    return view;
  }
}

/** The bytes of an allocator or a pool, as they are now, and as words. */
interface MemoryBelow {
  bytes(): Uint8Array;
  u32(): Uint32Array;
}

/** The views of an allocator that stands on another one, or on a pool, and has its memory. */
export class ViewsBelow implements WholeMemory {
  readonly #below: MemoryBelow;
  #others: MemoryViews | undefined;
  #buffer: ArrayBufferLike | undefined;

  constructor(below: MemoryBelow) {
    this.#below = below;
  }

  get buffer(): ArrayBufferLike {
    return this.#below.bytes().buffer;
  }

  of<K extends keyof WholeViews>(name: K): WholeViews[K] {
    if (name === "u8") return this.#below.bytes() as WholeViews[K];
    if (name === "u32") return this.#below.u32() as WholeViews[K];
    return this.#other(name);
  }

  /** A buffer may be replaced without being detached, so it is asked for each time. */
  #other<K extends keyof WholeViews>(name: K): WholeViews[K] {
    const { buffer } = this;
    if (buffer !== this.#buffer || !this.#others) this.#others = new MemoryViews(this);
    this.#buffer = buffer;
    return this.#others.of(name);
  }
}
