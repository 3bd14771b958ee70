/** Arrays that grow, of scalars and of structs, in the memory of a region. */
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { checkIndex, Growing } from "./growing.ts";
import { type Scalar, scalarGet, scalarSet, scalarSize } from "./scalars.ts";

/**
 * A growing array of numbers. It stays in the region that was current when it was made, wherever it
 * is used, and goes with it; `free` gives it back before.
 *
 * @example
 * const xs = new ScalarArray("f64");
 * xs.push(1, 2, 3);
 * xs.at(-1); // 3
 */
export class ScalarArray implements Disposable {
  readonly type: Scalar;
  readonly #block: Growing;
  readonly #size: number;
  #length = 0;

  /** @throws TypeError for a type that is none. */
  constructor(type: Scalar, allocator: AllocatorBase = currentRegion()) {
    this.type = type;
    this.#size = scalarSize(type);
    this.#block = new Growing(allocator);
  }

  get length(): number {
    return this.#length;
  }

  /** Address of the first element; 0 while there was none. Growth may change it. */
  get ptr(): number {
    return this.#block.ptr;
  }

  /** @throws HeapError ERR_OUT_OF_MEMORY; nothing was pushed then. */
  push(...values: number[]): void {
    this.#block.reserve((this.#length + values.length) * this.#size);
    for (const value of values) {
      scalarSet(this.#block.allocator, this.type, this.ptr + this.#length * this.#size, value);
      this.#length += 1;
    }
  }

  pop(): number | undefined {
    if (this.#length === 0) return undefined;
    const last = this.at(-1);
    this.#length -= 1;
    return last;
  }

  /** The element at an index; negative ones count from the end. */
  at(index: number): number | undefined {
    const place = index < 0 ? this.#length + index : index;
    if (!Number.isInteger(place) || place < 0 || place >= this.#length) return undefined;
    return scalarGet(this.#block.allocator, this.type, this.ptr + place * this.#size);
  }

  /** @throws RangeError for an index that is none. */
  set(index: number, value: number): void {
    checkIndex(index, this.#length);
    scalarSet(this.#block.allocator, this.type, this.ptr + index * this.#size, value);
  }

  /** Room for so many elements. */
  reserve(length: number): void {
    this.#block.reserve(length * this.#size);
  }

  clear(): void {
    this.#length = 0;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.#length; i++) yield this.at(i) as number;
  }

  /** Gives the memory back; the array is empty and can be used again. */
  free(): void {
    this.#length = 0;
    this.#block.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/** Where the fields of a struct lie: each aligned to its size, in the order that they are named. */
export interface Layout<F extends string> {
  readonly fields: readonly (readonly [F, Scalar, number])[];
  /** Bytes from one struct to the next. */
  readonly size: number;
}

/**
 * The layout of a struct, as C has it.
 *
 * @throws TypeError for a type that is none, RangeError for no fields.
 * @example
 * struct({ id: "u32", x: "f64" }).size; // 16
 */
export function struct<const F extends Record<string, Scalar>>(types: F): Layout<keyof F & string> {
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
 * A growing array of structs, one behind the other.
 *
 * @example
 * const points = new StructArray(struct({ x: "f64", y: "f64" }));
 * points.push({ x: 1, y: 2 });
 * points.get(0); // { x: 1, y: 2 }
 */
export class StructArray<F extends string> implements Disposable {
  readonly layout: Layout<F>;
  readonly #block: Growing;
  #length = 0;

  constructor(layout: Layout<F>, allocator: AllocatorBase = currentRegion()) {
    this.layout = layout;
    this.#block = new Growing(allocator);
  }

  get length(): number {
    return this.#length;
  }

  /** Address of a struct, for wasm. Growth may change it. */
  ptr(index: number): number {
    checkIndex(index, this.#length);
    return this.#block.ptr + index * this.layout.size;
  }

  /** @throws HeapError ERR_OUT_OF_MEMORY; nothing was pushed then. */
  push(value: Record<F, number>): void {
    this.#block.reserve((this.#length + 1) * this.layout.size);
    this.#length += 1;
    this.set(this.#length - 1, value);
  }

  get(index: number): Record<F, number> {
    const { allocator } = this.#block;
    const ptr = this.ptr(index);
    const fields = this.layout.fields.map(
      ([name, type, offset]) => [name, scalarGet(allocator, type, ptr + offset)] as const,
    );
    return Object.fromEntries(fields) as Record<F, number>;
  }

  /** Changes the fields that are named. */
  set(index: number, value: Partial<Record<F, number>>): void {
    const ptr = this.ptr(index);
    for (const [name, type, offset] of this.layout.fields) {
      const field = value[name];
      if (field !== undefined) scalarSet(this.#block.allocator, type, ptr + offset, field);
    }
  }

  pop(): Record<F, number> | undefined {
    if (this.#length === 0) return undefined;
    const last = this.get(this.#length - 1);
    this.#length -= 1;
    return last;
  }

  *[Symbol.iterator](): Generator<Record<F, number>> {
    for (let i = 0; i < this.#length; i++) yield this.get(i);
  }

  /** Gives the memory back; the array is empty and can be used again. */
  free(): void {
    this.#length = 0;
    this.#block.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }
}
