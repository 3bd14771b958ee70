/**
 * What can go wrong at a call of a heap: one function a mistake. Wrong types are TypeErrors, wrong
 * values RangeErrors, mistakes with memory HeapErrors.
 */
import type { MistakeCode } from "./mistakes.ts";

/** What a HeapError can be about: rows of the one list of mistakes. */
export type HeapErrorCode = Extract<
  MistakeCode,
  | "ERR_NOT_A_BLOCK"
  | "ERR_INTERIOR_POINTER"
  | "ERR_DOUBLE_FREE"
  | "ERR_SIZE_MISMATCH"
  | "ERR_HEAP_OVERFLOW"
  | "ERR_CORRUPTED_FREE_LIST"
  | "ERR_HEAP_DAMAGED"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_NO_ARENA"
  | "ERR_NO_THREAD"
  | "ERR_HEAP_DESTROYED"
  | "ERR_HEAP_DETACHED"
>;

/** What all errors about memory have. Each module has a class of its own, with its own codes. */
export abstract class MemoryError<Code extends string> extends Error {
  /** What happened, for programs. */
  readonly code: Code;
  /** The pointer that it is about, or 0. */
  readonly ptr: number;

  /** @param ptr The pointer that it is about, or 0. */
  constructor(code: Code, ptr: number, message: string) {
    super(message);
    this.code = code;
    this.ptr = ptr;
  }
}

/**
 * A mistake with memory, or a request that cannot be met. The heap is as it was before the call.
 *
 * @example
 * try {
 *   heap.free(12);
 * } catch (error) {
 *   if (error instanceof HeapError) console.log(error.code, error.ptr); // ERR_NOT_A_BLOCK 12
 * }
 */
export class HeapError extends MemoryError<HeapErrorCode> {
  /** "HeapError". */
  override readonly name = "HeapError";
}

/** Largest size of a request: PTRDIFF_MAX. */
export const SIZE_LIMIT = 0x7fffffff;

export function hex(ptr: number): string {
  return `0x${ptr.toString(16)}`;
}

export function notABlock(call: string, ptr: number): HeapError {
  return new HeapError("ERR_NOT_A_BLOCK", ptr, `${call}: ${hex(ptr)} is not a block of this heap`);
}

/** A call would write to what a heap has, but not to a block. */
export function notInABlock(call: string, ptr: number): HeapError {
  return new HeapError(
    "ERR_NOT_A_BLOCK",
    ptr,
    `${call}: ${hex(ptr)} is in the heap's memory, but not in a block`,
  );
}

export function interiorPointer(call: string, ptr: number): HeapError {
  return new HeapError(
    "ERR_INTERIOR_POINTER",
    ptr,
    `${call}: ${hex(ptr)} points into a block, not at its beginning`,
  );
}

/**
 * What the heap keeps about its blocks cannot be right.
 *
 * @param at Address of what is wrong; 0 = it is not known.
 */
export function heapDamaged(at: number, cause?: unknown): HeapError {
  const where = at === 0 ? "" : ` at ${hex(at)}`;
  const error = new HeapError(
    "ERR_HEAP_DAMAGED",
    at,
    `the heap is damaged${where}: its own data was overwritten; debug of "terrane/debug" or ` +
      "terrane check finds who wrote",
  );
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** @param cause What the engine threw. */
export function wasmRefused(cause: unknown): Error {
  return new Error(
    "WebAssembly may not compile: add 'wasm-unsafe-eval' to script-src of the " +
      "Content-Security-Policy, or give javascript or sharedJavascript of " +
      '"terrane/javascript" as backend',
    { cause },
  );
}

export function heapDestroyed(): HeapError {
  return new HeapError("ERR_HEAP_DESTROYED", 0, "the heap has been destroyed");
}

export function heapDetached(): HeapError {
  return new HeapError("ERR_HEAP_DETACHED", 0, "this thread has detached from the heap");
}

export function noThread(thread: number): HeapError {
  const why =
    thread === 0 ? "124 threads and heaps are attached" : `thread ${thread} is attached already`;
  return new HeapError("ERR_NO_THREAD", 0, `attachHeap: ${why}`);
}

/** A memory has as many arenas as it can have. */
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

export function handleError(handle: unknown, version: number): TypeError | RangeError {
  const made = (handle as { terrane?: unknown } | null | undefined)?.terrane;
  if (typeof made !== "number") return new TypeError("handle must come from heap.handle()");
  return versionError(made, version);
}

export function versionError(made: number, version: number): RangeError {
  return new RangeError(`handle of version ${made}, not ${version}: all threads need one terrane`);
}

/** What has the form of a handle, but cannot be one. */
export function forgedHandle(field: string, rule: string, of = "heap.handle()"): TypeError {
  return new TypeError(`handle must come from ${of}, unchanged: its ${field} must be ${rule}`);
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

export function rangeError(ptr: number, bytes: number, limit: number): RangeError {
  return new RangeError(`view of ${bytes} bytes at ${hex(ptr)} ends behind the memory's ${limit}`);
}

/** Bytes that a call reads or writes are not in the memory. */
export function pastMemory(call: string, ptr: number, bytes: number, limit: number): RangeError {
  return new RangeError(`${call}: ${bytes} bytes at ${hex(ptr)} end behind the memory's ${limit}`);
}

/** A text goes on to the end of the memory, or begins behind it. */
export function unterminated(call: string, ptr: number, limit: number): RangeError {
  return new RangeError(
    `${call}: the memory of ${limit} bytes ends before the text at ${hex(ptr)} does: ` +
      "it needs a NUL behind it",
  );
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
