/** Checks of arguments. The good case comes first and calls nothing. */
import {
  alignmentRefuse,
  type HeapError,
  interiorPointer,
  notABlock,
  pointerRefuse,
  SIZE_LIMIT,
  sizeRefuse,
  wrongKind,
} from "./errors.ts";

const PTR_FOREIGN = 1;

export function checkSize(size: number, what: string): void {
  if (typeof size !== "number" || size >>> 0 !== size || size > SIZE_LIMIT) sizeRefuse(what, size);
}

export function checkPointer(ptr: number): void {
  if (typeof ptr !== "number" || ptr >>> 0 !== ptr) pointerRefuse(ptr);
}

export function checkAlignment(alignment: number): void {
  const good = typeof alignment === "number" && alignment >>> 0 === alignment;
  if (!good || alignment === 0 || alignment > 2 ** 30 || (alignment & (alignment - 1)) !== 0) {
    alignmentRefuse(alignment);
  }
}

/** For a function that may be absent. */
export function checkFunction(what: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw wrongKind(what, "a function or undefined", value);
}

/** The error for what pointerCheck of the core has returned. */
export function pointerError(call: string, what: number, ptr: number): HeapError {
  return what === PTR_FOREIGN ? notABlock(call, ptr) : interiorPointer(call, ptr);
}
