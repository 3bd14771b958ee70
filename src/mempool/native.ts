/** The calls of a pool with typed arrays of JavaScript's own. */
import {
  arrayFill,
  constructorOf,
  type IMemPoolArray,
  type Type,
  type TypedArray,
  type TypedArrayOf,
} from "./api.ts";

/**
 * A replacement for MemPool without a pool: every typed array has a buffer of its own, and goes by
 * garbage collection.
 *
 * @example
 * const vec = new NativePool().callocAs("f32", 4, 1);
 */
export class NativePool implements IMemPoolArray {
  /** A new typed array of `num` elements. */
  mallocAs<T extends Type>(type: T, num: number): TypedArrayOf<T> | undefined {
    return new (constructorOf(type))(num) as TypedArrayOf<T>;
  }

  /** A new typed array of `num` elements, each set to `fill`. */
  callocAs<T extends Type>(type: T, num: number, fill = 0): TypedArrayOf<T> | undefined {
    const array = this.mallocAs(type, num) as TypedArrayOf<T>;
    arrayFill(array, fill);
    return array;
  }

  /** A new typed array of `num` elements with the old contents. */
  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined {
    const grown = new (array.constructor as new (length: number) => T)(num);
    const kept = array.subarray(0, num) as unknown as ArrayLike<never>;
    grown.set(kept);
    return grown;
  }

  /** Does nothing; returns true. */
  free(_array: number | TypedArray): boolean {
    return true;
  }

  /** Does nothing. */
  freeAll(): void {}

  /** Does nothing; returns true. */
  release(): boolean {
    return true;
  }
}
