/** Mistakes that only the size classes report: one function for each. */

import { hex, MemoryError } from "../../common/errors.ts";
import type { MistakeCode } from "../../common/mistakes.ts";
import type { Geometry } from "../core/contract.ts";

/** What a SizeClassError can be about. */
export type SizeClassErrorCode = Extract<
  MistakeCode,
  "ERR_CLASS_FULL" | "ERR_DOUBLE_FREE" | "ERR_FREE_ARRAY_FULL" | "ERR_LOCKED" | "ERR_NO_THREAD"
>;

/**
 * A mistake with the chunks of a class, or a class, a lock or a thread slot that cannot be had.
 * `code` tells which; `ptr` is the address of the chunk, or 0.
 */
export class SizeClassError extends MemoryError<SizeClassErrorCode> {
  /** "SizeClassError". */
  override readonly name = "SizeClassError";
}

/** LLVM's text, but the process goes on. `size`: bytes of the chunks of the class. */
export function regionFull({ regionLog, mapRegions }: Geometry, size: number): SizeClassError {
  const what =
    mapRegions > 0
      ? `There is no region of ${2 ** (regionLog - 10)}KB`
      : `The process has exhausted ${Math.floor(2 ** (regionLog - 20))}MB`;
  const text = `terrane: Out of memory. Dying. ${what} for size class ${size}.`;
  return new SizeClassError("ERR_CLASS_FULL", 0, text);
}

export function freedTwice(ptr: number, size: number): SizeClassError {
  const text = `the chunk of ${size} bytes at ${hex(ptr)} was freed twice`;
  return new SizeClassError("ERR_DOUBLE_FREE", ptr, text);
}

export function arrayFull(size: number): SizeClassError {
  const text = `more chunks of ${size} bytes were freed than their region has`;
  return new SizeClassError("ERR_FREE_ARRAY_FULL", 0, text);
}

export function locked(call: string): SizeClassError {
  return new SizeClassError("ERR_LOCKED", 0, `${call}: another thread holds the lock: try again`);
}

/** `threadId`: the thread of a handle for one thread, which is attached already; else 0. */
export function noThread(threadSlots: number, threadId: number): SizeClassError {
  const why =
    threadId === 0
      ? `${threadSlots} threads are attached: the option threads allows more`
      : `thread ${threadId} is attached already: take a new handle`;
  return new SizeClassError("ERR_NO_THREAD", 0, `attachSizeClassHeap: ${why}`);
}

export function classError(value: unknown, classes: number): RangeError {
  return new RangeError(`class must be a whole number from 1 to ${classes - 1}, not ${value}`);
}

export function addressError(value: unknown): TypeError | RangeError {
  if (typeof value !== "number") return new TypeError("pointer must be a number");
  return new RangeError(`pointer must be a whole number from 0 to 2^53, not ${value}`);
}
