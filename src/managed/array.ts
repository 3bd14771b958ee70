/** Arrays that grow, of numbers and of structs, in the memory of a region. */
import { checkObject } from "../common/kinds.ts";
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { checkIndex, Growing } from "./growing.ts";
import { type Scalar, scalarGet, scalarSet, scalarSize } from "./scalars.ts";

/**
 * A growing array of numbers. Its memory comes from one allocator, by default the region that was
 * current when the array was made, and ends with that region; `free` gives it back earlier.
 *
 * @example
 * const xs = new ScalarArray("f64");
 * xs.push(1, 2, 3);
 * xs.at(-1); // 3
 */
export class ScalarArray implements Disposable {
  /** The type of the elements. */
  readonly type: Scalar;
  readonly #block: Growing;
  readonly #size: number;
  #length = 0;

  /**
   * @param type the type of the elements.
   * @param allocator where the memory comes from. Default: the current region.
   * @throws TypeError for an unknown type.
   */
  constructor(type: Scalar, allocator: AllocatorBase = currentRegion()) {
    this.type = type;
    this.#size = scalarSize(type);
    this.#block = new Growing(allocator);
  }

  /** Number of elements. */
  get length(): number {
    return this.#length;
  }

  /** Address of the first element; 0 before the first one. Growth may change it. */
  get ptr(): number {
    return this.#block.ptr;
  }

  /**
   * Appends numbers, converted to the type as by a typed array.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; the array is as it was then.
   */
  push(...values: number[]): void {
    this.#block.reserve((this.#length + values.length) * this.#size);
    for (const value of values) {
      scalarSet(this.#block.allocator, this.type, this.ptr + this.#length * this.#size, value);
      this.#length += 1;
    }
  }

  /** Removes the last element and returns it; undefined when the array is empty. */
  pop(): number | undefined {
    if (this.#length === 0) return undefined;
    const last = this.at(-1);
    this.#length -= 1;
    return last;
  }

  /** The element at an index; negative ones count from the end. undefined = there is none. */
  at(index: number): number | undefined {
    const from = index < 0 ? this.#length + index : index;
    if (!Number.isInteger(from) || from < 0 || from >= this.#length) return undefined;
    return scalarGet(this.#block.allocator, this.type, this.ptr + from * this.#size);
  }

  /**
   * Replaces an element.
   *
   * @throws TypeError or RangeError unless index is a whole number from 0 to length - 1.
   */
  set(index: number, value: number): void {
    checkIndex(index, this.#length);
    scalarSet(this.#block.allocator, this.type, this.ptr + index * this.#size, value);
  }

  /**
   * Allocates memory for at least `length` elements, so that the array does not move before.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; the array is as it was then.
   */
  reserve(length: number): void {
    this.#block.reserve(length * this.#size);
  }

  /** Removes all elements; keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  /** The elements in their order. */
  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.#length; i++) yield this.at(i) as number;
  }

  /** Gives the memory back. The array is empty then, and can be used again. */
  free(): void {
    this.#block.free();
    this.#length = 0;
  }

  /** `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}

/** The layout of a struct: see `struct`. */
export interface Layout<F extends string> {
  /** Name, type and offset in bytes of each field, in the order of the offsets. */
  readonly fields: readonly (readonly [F, Scalar, number])[];
  /** Bytes from one struct of an array to the next. */
  readonly size: number;
}

/**
 * The layout of a struct, as C has it: the fields follow each other in the order that they are
 * named in, each aligned to its size.
 *
 * @throws TypeError for an unknown type, RangeError without a field.
 * @example
 * struct({ id: "u32", x: "f64" }).size; // 16
 */
export function struct<const F extends Record<string, Scalar>>(types: F): Layout<keyof F & string> {
  checkObject("struct: fields", types);
  let end = 0;
  let alignment = 1;
  const fields = Object.entries(types).map(([name, type]) => {
    const size = scalarSize(type);
    const offset = Math.ceil(end / size) * size;
    end = offset + size;
    alignment = Math.max(alignment, size);
    return [name as keyof F & string, type, offset] as const;
  });
  if (fields.length === 0) throw new RangeError("struct: needs at least one field");
  return { fields, size: Math.ceil(end / alignment) * alignment };
}

/**
 * A growing array of structs, one after the other. Its memory comes from one allocator, as that of
 * `ScalarArray` does.
 *
 * @example
 * const points = new StructArray(struct({ x: "f64", y: "f64" }));
 * points.push({ x: 1, y: 2 });
 * points.get(0); // { x: 1, y: 2 }
 */
export class StructArray<F extends string> implements Disposable {
  /** The layout of the elements. */
  readonly layout: Layout<F>;
  readonly #block: Growing;
  #length = 0;

  /**
   * @param layout of the elements, made by `struct`.
   * @param allocator where the memory comes from. Default: the current region.
   */
  constructor(layout: Layout<F>, allocator: AllocatorBase = currentRegion()) {
    this.layout = layout;
    this.#block = new Growing(allocator);
  }

  /** Number of elements. */
  get length(): number {
    return this.#length;
  }

  /**
   * Address of a struct, for wasm for example. Growth may change it.
   *
   * @throws TypeError or RangeError unless index is a whole number from 0 to length - 1.
   */
  ptr(index: number): number {
    checkIndex(index, this.#length);
    return this.#block.ptr + index * this.layout.size;
  }

  /**
   * Appends a struct.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; the array is as it was then.
   */
  push(value: Record<F, number>): void {
    this.#block.reserve((this.#length + 1) * this.layout.size);
    this.#length += 1;
    this.set(this.#length - 1, value);
  }

  /**
   * The struct at an index, as a new object.
   *
   * @throws TypeError or RangeError unless index is a whole number from 0 to length - 1.
   */
  get(index: number): Record<F, number> {
    const { allocator } = this.#block;
    const ptr = this.ptr(index);
    const fields = this.layout.fields.map(
      ([name, type, offset]) => [name, scalarGet(allocator, type, ptr + offset)] as const,
    );
    return Object.fromEntries(fields) as Record<F, number>;
  }

  /**
   * Changes those fields of a struct that `value` has.
   *
   * @throws TypeError or RangeError unless index is a whole number from 0 to length - 1.
   */
  set(index: number, value: Partial<Record<F, number>>): void {
    const ptr = this.ptr(index);
    for (const [name, type, offset] of this.layout.fields) {
      const field = value[name];
      if (field !== undefined) scalarSet(this.#block.allocator, type, ptr + offset, field);
    }
  }

  /** Removes the last struct and returns it; undefined when the array is empty. */
  pop(): Record<F, number> | undefined {
    if (this.#length === 0) return undefined;
    const last = this.get(this.#length - 1);
    this.#length -= 1;
    return last;
  }

  /** The structs in their order, each as a new object. */
  *[Symbol.iterator](): Generator<Record<F, number>> {
    for (let i = 0; i < this.#length; i++) yield this.get(i);
  }

  /** Gives the memory back. The array is empty then, and can be used again. */
  free(): void {
    this.#block.free();
    this.#length = 0;
  }

  /** `free`, for `using`. */
  [Symbol.dispose](): void {
    this.free();
  }
}
