/** Mistakes that the hardened malloc finds, with Scudo's texts: one function for each. */
import { hex, MemoryError, SIZE_LIMIT } from "../../common/errors.ts";
import type { MistakeCode } from "../../common/mistakes.ts";

/** Bytes that pvalloc rounds up to, and valloc aligns to. */
export const PAGE = 4096;

/** What a HardenedError can be about. */
export type HardenedErrorCode = Extract<
  MistakeCode,
  | "ERR_CORRUPTED_HEADER"
  | "ERR_BLOCK_STATE"
  | "ERR_MISALIGNED_POINTER"
  | "ERR_FAMILY_MISMATCH"
  | "ERR_SIZE_MISMATCH"
  | "ERR_ALIGNMENT_MISMATCH"
  | "ERR_SIZE_LIMIT"
  | "ERR_SIZE_OVERFLOW"
  | "ERR_BAD_ALIGNMENT"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_DISABLED"
>;

/**
 * A mistake that the hardened malloc found, with Scudo's text: `code` tells which, `ptr` is the
 * block, or 0. The block is as it was before the call.
 */
export class HardenedError extends MemoryError<HardenedErrorCode> {
  /** "HardenedError". */
  override readonly name = "HardenedError";
  /** Stack of the allocation of the block, if this thread made it while it tracked stacks. */
  allocatedAt?: string;
  /** Stack of the free of the block, as long as the ring buffer has it. */
  freedAt?: string;
}

/** What the call does with a block. */
export type Action = "deallocating" | "reallocating" | "sizing" | "recycling";

/** What allocated a block: malloc, new, new[] or memalign. */
export type Origin = 0 | 1 | 2 | 3;

/** `first`: the first word of the header; undefined past the end of the memory. */
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
  return new HardenedError("ERR_BLOCK_STATE", ptr, text);
}

export function misalignedPointer(action: Action, ptr: number): HardenedError {
  const text = `misaligned pointer when ${action} address ${hex(ptr)}`;
  return new HardenedError("ERR_MISALIGNED_POINTER", ptr, text);
}

/** Scudo's names of the origins. */
const origins = ["malloc", "new", "new[]", "aligned malloc"] as const;

export function typeMismatch(
  action: Action,
  ptr: number,
  has: Origin,
  given: Origin,
): HardenedError {
  const types = `(${origins[has]} vs ${origins[given]})`;
  const text = `allocation type mismatch when ${action} address ${hex(ptr)} ${types}`;
  return new HardenedError("ERR_FAMILY_MISMATCH", ptr, text);
}

/** `usable`: another size that a sized delete may name, where usable sizes are not exact. */
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
  return new HardenedError("ERR_SIZE_LIMIT", 0, text);
}

export function productOverflow(
  call: "calloc" | "reallocarray",
  count: number,
  size: number,
): HardenedError {
  const text =
    `${call} parameters overflow: count * size (${count} * ${size}) ` +
    "cannot be represented with type size_t";
  return new HardenedError("ERR_SIZE_OVERFLOW", 0, text);
}

export function pvallocOverflow(size: number): HardenedError {
  const text =
    `pvalloc parameters overflow: size ${size} rounded up to system page size ${PAGE} ` +
    "cannot be represented in type size_t";
  return new HardenedError("ERR_SIZE_OVERFLOW", 0, text);
}

export function alignmentNotPower(alignment: number): HardenedError {
  const text = `invalid allocation alignment: ${alignment}, alignment must be a power of two`;
  return new HardenedError("ERR_BAD_ALIGNMENT", 0, text);
}

export function alignmentOfPosixMemalign(alignment: number): HardenedError {
  const text =
    `invalid alignment requested in posix_memalign: ${alignment}, alignment must be a power of ` +
    "two and a multiple of sizeof(void *) == 4";
  return new HardenedError("ERR_BAD_ALIGNMENT", 0, text);
}

export function alignmentOfAlignedAlloc(alignment: number, size: number): HardenedError {
  const text =
    `invalid alignment requested in aligned_alloc: ${alignment}, alignment must be a power of ` +
    `two and the requested size ${size} must be a multiple of alignment`;
  return new HardenedError("ERR_BAD_ALIGNMENT", 0, text);
}

export function outOfMemoryFor(size: number): HardenedError {
  const text = `out of memory trying to allocate ${size} bytes`;
  return new HardenedError("ERR_OUT_OF_MEMORY", 0, text);
}

export function allocatorDisabled(): HardenedError {
  return new HardenedError("ERR_DISABLED", 0, "the allocator is disabled: call enable first");
}
