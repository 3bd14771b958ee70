/** The rules for arguments, which are those of the heap's typed door. */
import { alignmentRefuse, pointerRefuse, SIZE_LIMIT, sizeRefuse } from "../errors.ts";

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
