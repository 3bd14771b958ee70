/** The types of @thi.ng/malloc, by the names that its users import. */

/** Constructors of the element types, by their names in @thi.ng/api. */
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

/** Name of an element type: bits, and signed, unsigned, clamped or floating point. */
export type Type = keyof typeof typedArrays;

/** The typed array for the name of an element type. */
export type TypedArrayOf<T extends Type> = InstanceType<(typeof typedArrays)[T]>;

/** A typed array of any element type. */
export type TypedArray = TypedArrayOf<Type>;

/** Options of a pool. */
export interface MemPoolOpts {
  /**
   * The memory, whose length is a multiple of 4. Default: a new ArrayBuffer of `size` bytes.
   */
  buf: ArrayBufferLike;
  /** Bytes of the memory that the pool makes, a multiple of 4. Default: 4096. */
  size: number;
  /** Offset of the 28 bytes of state, a multiple of 4; blocks follow them. Default: 0. */
  start: number;
  /** Offset of the byte after the last that the pool may use. Default: the end of the memory. */
  end: number;
  /** Every address is a multiple of it: a power of two from 8 to 2^30. Default: 8. */
  align: number;
  /** Whether free neighbours are joined. Default: true. */
  compact: boolean;
  /** Whether a free block that is larger than needed is cut. Default: true. */
  split: boolean;
  /** The least bytes, more than 8, that a cut must leave over. Default: 16. */
  minSplit: number;
  /** Opens the pool that is in `buf` at `start`, with its options. Default: false. */
  skipInitialization: boolean;
}

/** Statistics of a pool. All sizes are bytes. */
export interface MemPoolStats {
  /** Free blocks below `top`: how many, and their bytes with headers of 8 bytes. */
  free: { count: number; size: number };
  /** Blocks in use: how many, and their bytes with headers. */
  used: { count: number; size: number };
  /** Address of the end of the highest block: no block above it was given. */
  top: number;
  /** Bytes of free blocks and of the space above `top`. */
  available: number;
  /** Bytes of the whole memory. */
  total: number;
}

/** The calls of a pool for typed arrays. */
export interface IMemPoolArray {
  /** Allocates a typed array of `num` elements, which are not cleared; undefined = no space. */
  mallocAs<T extends Type>(type: T, num: number): TypedArrayOf<T> | undefined;
  /** As mallocAs, with every element set to `fill`. Default: 0. */
  callocAs<T extends Type>(type: T, num: number, fill?: number): TypedArrayOf<T> | undefined;
  /**
   * Resizes a typed array of the pool to `num` elements and returns the new one, with the old
   * contents; undefined = no space, or the array is not from this pool.
   */
  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined;
  /** Frees the block of a typed array; false = it is not from this pool, or was freed. */
  free(array: TypedArray): boolean;
  /** Frees all blocks. */
  freeAll(): void;
  /** Ends the pool: it forgets the memory, and later calls throw. */
  release(): boolean;
}

/** The calls of a pool. */
export interface IMemPool extends IMemPoolArray {
  /** Address of a block of `size` bytes, rounded up; 0 = no space. */
  malloc(size: number): number;
  /** As malloc, with the bytes set to `fill`. Default: 0. */
  calloc(size: number, fill?: number): number;
  /** Resizes a block and returns its address, which may be new; 0 = no space, or not a block. */
  realloc(ptr: number, size: number): number;
  /** Frees the block at an address or of a typed array; false = it is not a block in use. */
  free(ptr: number | TypedArray): boolean;
  /** Statistics as they are now. */
  stats(): Readonly<MemPoolStats>;
}

/** The constructor of an element type. */
export function constructorOf<T extends Type>(type: T): (typeof typedArrays)[T] {
  const found = Object.hasOwn(typedArrays, type) ? typedArrays[type] : undefined;
  if (found) return found;
  throw new TypeError(`type must be one of ${Object.keys(typedArrays).join(" ")}, not ${type}`);
}

/** Sets every element of a typed array. */
export function arrayFill(array: TypedArray, fill: number): void {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array.fill(BigInt(fill));
  else array.fill(fill);
}
