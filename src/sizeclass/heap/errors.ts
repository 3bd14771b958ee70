/** What can go wrong here and nowhere else. */

import { hex, MemoryError } from "../../common/errors.ts";
import type { Geometry } from "../core/contract.ts";

export type SizeClassErrorCode =
  | "ERR_REGION_FULL"
  | "ERR_DOUBLE_FREE"
  | "ERR_FREE_ARRAY_FULL"
  | "ERR_LOCKED"
  | "ERR_NO_SEAT";

/** A mistake with chunks of regions, or a region that is full. */
export class SizeClassError extends MemoryError<SizeClassErrorCode> {
  override readonly name = "SizeClassError";
}

/** In LLVM's words, but that nobody dies. On demand there may be no more regions for anybody. */
export function regionFull({ regionLog, mapRegions }: Geometry, size: number): SizeClassError {
  const what =
    mapRegions > 0
      ? `There is no region of ${2 ** (regionLog - 10)}KB`
      : `The process has exhausted ${Math.floor(2 ** (regionLog - 20))}MB`;
  const text = `Out of memory. ${what} for size class ${size}.`;
  return new SizeClassError("ERR_REGION_FULL", 0, text);
}

export function freedTwice(ptr: number, size: number): SizeClassError {
  const text = `the chunk of ${size} bytes at ${hex(ptr)} was freed twice`;
  return new SizeClassError("ERR_DOUBLE_FREE", ptr, text);
}

export function arrayFull(size: number): SizeClassError {
  const text = `more chunks of ${size} bytes were freed than their region has`;
  return new SizeClassError("ERR_FREE_ARRAY_FULL", 0, text);
}

export function locked(what: string): SizeClassError {
  return new SizeClassError("ERR_LOCKED", 0, `${what}: another thread holds the lock`);
}

/** `thread id`: of a handle for one thread, which is attached; else 0. */
export function noThread(threadSlots: number, threadId: number): SizeClassError {
  const why =
    threadId === 0
      ? `${threadSlots} threads are attached`
      : `thread ${threadId} is attached already`;
  return new SizeClassError("ERR_NO_SEAT", 0, `attachSizeClass: ${why}`);
}

export function classError(value: unknown, classes: number): RangeError {
  return new RangeError(`class must be a whole number from 1 to ${classes - 1}, not ${value}`);
}

export function addressRefuse(value: unknown): never {
  if (typeof value !== "number") throw new TypeError("pointer must be a number");
  throw new RangeError(`pointer must be a whole number from 0 to 2^53, not ${value}`);
}
