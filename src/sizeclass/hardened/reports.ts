/** What the hardened malloc finds, in Scudo's words: one function a mistake. */
import { hex, MemoryError, SIZE_LIMIT } from "../../common/errors.ts";

/** What pvalloc rounds to. */
export const PAGE = 4096;

export type HardenedErrorCode =
  | "ERR_CORRUPTED_HEADER"
  | "ERR_CHUNK_STATE"
  | "ERR_MISALIGNED_POINTER"
  | "ERR_TYPE_MISMATCH"
  | "ERR_SIZE_MISMATCH"
  | "ERR_ALIGNMENT_MISMATCH"
  | "ERR_SIZE_TOO_BIG"
  | "ERR_CALLOC_OVERFLOW"
  | "ERR_ALIGNMENT"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_DISABLED";

/** A mistake that the hardened malloc has found. Nothing was done with the block. */
export class HardenedError extends MemoryError<HardenedErrorCode> {
  override readonly name = "HardenedError";
  /** Where the block was allocated, if this thread did it and tracks stacks. */
  allocatedAt?: string;
  /** Where it was freed, as long as the ring buffer has it. */
  freedAt?: string;
}

/** What was to be done with a block. */
export type Action = "deallocating" | "reallocating" | "sizing" | "recycling";

/** Who asked for a block: malloc, new, new[] or memalign. */
export type Origin = 0 | 1 | 2 | 3;

/** `first`: the header's first word; undefined beyond the memory. */
export function corruptedHeader(ptr: number, first: number | undefined): HardenedError {
  const why =
    first === 0
      ? "chunk header is zero and might indicate memory corruption or a double free"
      : "most likely due to memory corruption";
  const text = `corrupted chunk header at address ${hex(ptr)}: ${why}`;
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

/** Scudo's words for origins. */
const origins = ["malloc", "new", "new[]", "aligned malloc"] as const;

export function typeMismatch(
  action: Action,
  ptr: number,
  has: Origin,
  given: Origin,
): HardenedError {
  const types = `(${origins[has]} vs ${origins[given]})`;
  const text = `allocation type mismatch when ${action} address ${hex(ptr)} ${types}`;
  return new HardenedError("ERR_TYPE_MISMATCH", ptr, text);
}

/** `usable`: what a sized delete may name as well, where usable sizes are not exact. */
export function sizeMismatch(
  ptr: number,
  given: number,
  has: number,
  usable: number,
): HardenedError {
  const good = has === usable ? has : `${has} or ${usable}`;
  const text = `invalid sized delete when deallocating address ${hex(ptr)} (${given} vs ${good})`;
  return new HardenedError("ERR_SIZE_MISMATCH", ptr, text);
}

export function alignmentMismatch(ptr: number, alignment: number): HardenedError {
  const has = Math.log2((ptr & -ptr) >>> 0);
  const text =
    `invalid aligned delete when deallocating address ${hex(ptr)} ` +
    `(${has} bit align vs ${Math.log2(alignment)} bit align)`;
  return new HardenedError("ERR_ALIGNMENT_MISMATCH", ptr, text);
}

export function sizeTooBig(size: number, total: number): HardenedError {
  const text =
    `requested allocation size ${size} (${total} after adjustments) ` +
    `exceeds maximum supported size of ${SIZE_LIMIT}`;
  return new HardenedError("ERR_SIZE_TOO_BIG", 0, text);
}

export function productOverflow(
  call: "calloc" | "reallocarray",
  count: number,
  size: number,
): HardenedError {
  const text =
    `${call} parameters overflow: count * size (${count} * ${size}) ` +
    "cannot be represented with type size_t";
  return new HardenedError("ERR_CALLOC_OVERFLOW", 0, text);
}

export function pvallocOverflow(size: number): HardenedError {
  const text =
    `pvalloc parameters overflow: size ${size} rounded up to system page size ${PAGE} ` +
    "cannot be represented in type size_t";
  return new HardenedError("ERR_CALLOC_OVERFLOW", 0, text);
}

export function alignmentNotPower(alignment: number): HardenedError {
  const text = `invalid allocation alignment: ${alignment}, alignment must be a power of two`;
  return new HardenedError("ERR_ALIGNMENT", 0, text);
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

export function allocatorDisabled(): HardenedError {
  return new HardenedError("ERR_DISABLED", 0, "the allocator is disabled: call enable first");
}
