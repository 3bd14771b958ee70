/** The types of @thi.ng/malloc, by the names under which its users import them. */

/** Constructors of the element types, by the names that @thi.ng/api has for them. */
const typedArrays = {
  u8: Uint8Array,
  u8c: Uint8ClampedArray,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
};

/** Name of an element type. */
export type Type = keyof typeof typedArrays;

/** The view that a type name stands for. */
export type TypedArrayOf<T extends Type> = InstanceType<(typeof typedArrays)[T]>;

export type TypedArray = TypedArrayOf<Type>;

export interface MemPoolOpts {
  /** The memory; without it the pool makes one of `size` bytes. A multiple of 4 bytes long. */
  buf: ArrayBufferLike;
  /** Bytes of a memory that the pool makes. Default: 4096. */
  size: number;
  /** Where the pool's 28 bytes of state begin, a multiple of 4; blocks follow. Default: 0. */
  start: number;
  /** One past the last byte that the pool may use. Default: the end of the memory. */
  end: number;
  /** Every address is a multiple of this power of two, at least 8. Default: 8. */
  align: number;
  /** Whether free neighbours become one block. Default: true. */
  compact: boolean;
  /** Whether a free block that is larger than needed is cut. Default: true. */
  split: boolean;
  /** Bytes, more than 8, that must be left over for a cut. Default: 16. */
  minSplit: number;
  /** Takes the pool that is in `buf` already, with its options. Default: false. */
  skipInitialization: boolean;
}

export interface MemPoolStats {
  /** Blocks that were freed and lie below `top`; bytes with their headers of 8. */
  free: { count: number; size: number };
  /** Blocks in use; bytes with their headers. */
  used: { count: number; size: number };
  /** Address behind the highest block: nothing above it has been given out. */
  top: number;
  /** Bytes of free blocks and above `top`. */
  available: number;
  /** Bytes of the whole memory. */
  total: number;
}

export interface IMemPoolArray {
  /** A view of `num` elements with whatever the memory holds; undefined = no room. */
  mallocAs<T extends Type>(type: T, num: number): TypedArrayOf<T> | undefined;
  /** As mallocAs, every element set to `fill`. */
  callocAs<T extends Type>(type: T, num: number, fill?: number): TypedArrayOf<T> | undefined;
  /** A view of `num` elements with the old contents; undefined = no room, or not of this pool. */
  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined;
  /** Frees what a view was made of. */
  free(array: TypedArray): boolean;
  /** Frees everything. */
  freeAll(): void;
  /** Lets go of the memory; the pool cannot be used any more. */
  release(): boolean;
}

export interface IMemPool extends IMemPoolArray {
  /** Address of a block of `size` bytes; 0 = no room. */
  malloc(size: number): number;
  /** As malloc, the bytes set to `fill`. */
  calloc(size: number, fill?: number): number;
  /** Address of the block with its new size, moved if need be; 0 = no room, or no block. */
  realloc(ptr: number, size: number): number;
  /** Whether there was such a block. */
  free(ptr: number | TypedArray): boolean;
  stats(): Readonly<MemPoolStats>;
}

/** The constructor of an element type. */
export function constructorOf<T extends Type>(type: T): (typeof typedArrays)[T] {
  const found = Object.hasOwn(typedArrays, type) ? typedArrays[type] : undefined;
  if (found) return found;
  throw new TypeError(`type must be one of ${Object.keys(typedArrays).join(" ")}, not ${type}`);
}

/** Sets every element of a view of any kind. */
export function arrayFill(array: TypedArray, fill: number): void {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array.fill(BigInt(fill));
  else array.fill(fill);
}
