/** The interface of a pool over views that JavaScript makes and collects by itself. */
import {
  arrayFill,
  constructorOf,
  type IMemPoolArray,
  type Type,
  type TypedArray,
  type TypedArrayOf,
} from "./api.ts";

/** Stands in for MemPool where nothing shall be pooled: every view has a memory of its own. */
export class NativePool implements IMemPoolArray {
  mallocAs<T extends Type>(type: T, num: number): TypedArrayOf<T> | undefined {
    return new (constructorOf(type))(num) as TypedArrayOf<T>;
  }

  callocAs<T extends Type>(type: T, num: number, fill = 0): TypedArrayOf<T> | undefined {
    const array = this.mallocAs(type, num) as TypedArrayOf<T>;
    arrayFill(array, fill);
    return array;
  }

  reallocArray<T extends TypedArray>(array: T, num: number): T | undefined {
    const grown = new (array.constructor as new (length: number) => T)(num);
    const kept = array.subarray(0, num) as unknown as ArrayLike<never>;
    grown.set(kept);
    return grown;
  }

  free(_array: number | TypedArray): boolean {
    return true;
  }

  freeAll(): void {}

  release(): boolean {
    return true;
  }
}
