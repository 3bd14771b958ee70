/** What the hardened malloc finds, in Scudo's words: one function a mistake. */
import { hex, MemoryError } from "../errors.ts";

export type HardenedErrorCode =
  | "ERR_CORRUPTED_HEADER"
  | "ERR_CHUNK_STATE"
  | "ERR_MISALIGNED_POINTER"
  | "ERR_TYPE_MISMATCH"
  | "ERR_SIZE_MISMATCH"
  | "ERR_SIZE_TOO_BIG"
  | "ERR_CALLOC_OVERFLOW"
  | "ERR_ALIGNMENT"
  | "ERR_OUT_OF_MEMORY";

/** A mistake that the hardened malloc has found. Nothing was done with the block. */
export class HardenedError extends MemoryError<HardenedErrorCode> {
  override readonly name = "HardenedError";
}

/** What was to be done with a block. */
export type Action = "deallocating" | "reallocating" | "sizing" | "recycling";

/** Who asked for a block: malloc, new, new[] or memalign. */
export type Origin = 0 | 1 | 2 | 3;

export function corruptedHeader(ptr: number): HardenedError {
  const text = `corrupted chunk header at address ${hex(ptr)}`;
  return new HardenedError("ERR_CORRUPTED_HEADER", ptr, text);
}

export function invalidState(action: Action, ptr: number): HardenedError {
  const text = `invalid chunk state when ${action} address ${hex(ptr)}`;
  return new HardenedError("ERR_CHUNK_STATE", ptr, text);
}

export function misalignedPointer(action: Action, ptr: number): HardenedError {
  const text = `misaligned pointer when ${action} address ${hex(ptr)}`;
  return new HardenedError("ERR_MISALIGNED_POINTER", ptr, text);
}

export function typeMismatch(
  action: Action,
  ptr: number,
  has: Origin,
  given: Origin,
): HardenedError {
  const text = `allocation type mismatch when ${action} address ${hex(ptr)} (${has} vs ${given})`;
  return new HardenedError("ERR_TYPE_MISMATCH", ptr, text);
}

export function sizeMismatch(ptr: number, given: number, has: number): HardenedError {
  const text = `invalid sized delete when deallocating address ${hex(ptr)} (${given} vs ${has})`;
  return new HardenedError("ERR_SIZE_MISMATCH", ptr, text);
}

export function sizeTooBig(size: number, total: number, most: number): HardenedError {
  const text =
    `requested allocation size ${size} (${total} after adjustments) ` +
    `exceeds maximum supported size of ${most}`;
  return new HardenedError("ERR_SIZE_TOO_BIG", 0, text);
}

export function callocOverflow(count: number, size: number): HardenedError {
  const text =
    `calloc parameters overflow: count * size (${count} * ${size}) ` +
    "cannot be represented with type size_t";
  return new HardenedError("ERR_CALLOC_OVERFLOW", 0, text);
}

export function alignmentOfPosixMemalign(alignment: number): HardenedError {
  const text =
    `invalid alignment requested in posix_memalign: ${alignment}, alignment must be a power of ` +
    "two and a multiple of sizeof(void *) == 4";
  return new HardenedError("ERR_ALIGNMENT", 0, text);
}

export function alignmentOfAlignedAlloc(alignment: number, size: number): HardenedError {
  const text =
    `invalid alignment requested in aligned_alloc: ${alignment}, alignment must be a power of ` +
    `two and the requested size ${size} must be a multiple of alignment`;
  return new HardenedError("ERR_ALIGNMENT", 0, text);
}

export function outOfMemoryFor(size: number): HardenedError {
  const text = `out of memory trying to allocate ${size} bytes`;
  return new HardenedError("ERR_OUT_OF_MEMORY", 0, text);
}
