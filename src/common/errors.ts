/**
 * What can go wrong at the typed door: one function a mistake. Wrong kinds are TypeErrors, wrong
 * values RangeErrors, mistakes with memory HeapErrors.
 */

export type HeapErrorCode =
  | "ERR_FOREIGN_POINTER"
  | "ERR_INTERIOR_POINTER"
  | "ERR_HEAP_DESTROYED"
  | "ERR_HEAP_DETACHED"
  | "ERR_NO_ARENA"
  | "ERR_NO_THREAD"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_SIZE_MISMATCH"
  | "ERR_DOUBLE_FREE"
  | "ERR_BUFFER_OVERFLOW"
  | "ERR_CORRUPTED_FREE_LIST";

/** What all errors about memory have. Each room has a class of its own, with its own codes. */
export abstract class MemoryError<Code extends string> extends Error {
  /** What happened, for programs. */
  readonly code: Code;
  /** The pointer that it is about, or 0. */
  readonly ptr: number;

  constructor(code: Code, ptr: number, message: string) {
    super(message);
    this.code = code;
    this.ptr = ptr;
  }
}

/** A mistake with memory. The heap is as it was before the call. */
export class HeapError extends MemoryError<HeapErrorCode> {
  override readonly name = "HeapError";
}

/** Largest size of a request: PTRDIFF_MAX. */
export const SIZE_LIMIT = 0x7fffffff;

export function hex(ptr: number): string {
  return `0x${ptr.toString(16)}`;
}

export function foreignPointer(call: string, ptr: number): HeapError {
  return new HeapError("ERR_FOREIGN_POINTER", ptr, `${call}: ${hex(ptr)} is no block of this heap`);
}

export function interiorPointer(call: string, ptr: number): HeapError {
  return new HeapError(
    "ERR_INTERIOR_POINTER",
    ptr,
    `${call}: ${hex(ptr)} points into a block, not at its beginning`,
  );
}

export function heapDestroyed(): HeapError {
  return new HeapError("ERR_HEAP_DESTROYED", 0, "the heap has been destroyed");
}

export function heapDetached(): HeapError {
  return new HeapError("ERR_HEAP_DETACHED", 0, "this thread has detached from the heap");
}

export function noThread(ticket: number): HeapError {
  const why =
    ticket === 0 ? "124 threads and heaps are attached" : `thread ${ticket} is attached already`;
  return new HeapError("ERR_NO_THREAD", 0, `attachHeap: ${why}`);
}

/** All arenas that a memory may have are there. */
export function noArena(call: string, most: number): HeapError {
  return new HeapError("ERR_NO_ARENA", 0, `${call}: there are ${most} arenas already`);
}

/** A sized or aligned free of a block that is smaller, or lies elsewhere. */
export function misfit(
  call: string,
  ptr: number,
  holds: number,
  size: number,
  alignment: number,
): HeapError {
  const why = size > holds ? `holds ${holds} bytes, not ${size}` : `is not aligned to ${alignment}`;
  return new HeapError("ERR_SIZE_MISMATCH", ptr, `${call}: ${hex(ptr)} ${why}`);
}

export function handleRefuse(handle: unknown, version: number): TypeError | RangeError {
  const made = (handle as { terrane?: unknown } | null | undefined)?.terrane;
  if (typeof made !== "number") return new TypeError("handle must come from heap.handle()");
  return new RangeError(`handle of version ${made}, not ${version}: all threads need one terrane`);
}

export function threadRefuse(value: unknown): never {
  if (typeof value !== "number") {
    throw wrongKind("threadId", "a number", value);
  }
  throw new RangeError(`threadId must be a whole number from 1 to 1073741823, not ${value}`);
}

export function outOfMemory(call: string, size: number): HeapError {
  return new HeapError("ERR_OUT_OF_MEMORY", 0, `${call}: no memory for ${size} bytes`);
}

/** Throws what is wrong with a size, count, offset or length. */
export function sizeRefuse(what: string, value: unknown): never {
  if (typeof value !== "number") {
    throw wrongKind(what, "a number", value);
  }
  throw new RangeError(`${what} must be a whole number from 0 to ${SIZE_LIMIT}, not ${value}`);
}

export function alignmentRefuse(value: unknown): never {
  if (typeof value !== "number") {
    throw wrongKind("alignment", "a number", value);
  }
  throw new RangeError(`alignment must be a power of two up to 1073741824, not ${value}`);
}

export function pointerRefuse(value: unknown): never {
  if (typeof value !== "number") {
    throw wrongKind("pointer", "a number", value);
  }
  throw new RangeError(`pointer must be a whole number from 0 to 4294967295, not ${value}`);
}

export function rangeRefuse(ptr: number, bytes: number, limit: number): RangeError {
  return new RangeError(`view of ${bytes} bytes at ${hex(ptr)} ends behind the memory's ${limit}`);
}

export function misaligned(name: string, ptr: number, size: number): RangeError {
  return new RangeError(`${name} needs a pointer that is a multiple of ${size}, not ${hex(ptr)}`);
}

export function typeName(value: unknown): string {
  return value === null ? "null" : typeof value;
}

export function wrongKind(name: string, kind: string, value: unknown): TypeError {
  return new TypeError(`${name} must be ${kind}, not ${typeName(value)}`);
}
