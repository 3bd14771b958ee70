/** Numbers in memory, by the names of their types, which are those of the views. */
import { typeName } from "../common/errors.ts";
import type { AllocatorBase } from "../layers/index.ts";

/** Bytes of each type; each is aligned to its size. */
const sizes = { i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, f32: 4, f64: 8 } as const;

/** Name of a type of numbers: signed, unsigned or floating point, and its bits. */
export type Scalar = keyof typeof sizes;

export function scalarSize(type: Scalar): number {
  if (typeof type === "string" && Object.hasOwn(sizes, type)) return sizes[type];
  throw new TypeError(`unknown scalar type: ${typeof type === "string" ? type : typeName(type)}`);
}

/** The number at an address, which is a multiple of its size. */
export function scalarGet(allocator: AllocatorBase, type: Scalar, ptr: number): number {
  return allocator[type][ptr / sizes[type]] as number;
}

export function scalarSet(
  allocator: AllocatorBase,
  type: Scalar,
  ptr: number,
  value: number,
): void {
  allocator[type][ptr / sizes[type]] = value;
}
