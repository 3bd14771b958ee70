/** What can go wrong with managed blocks: one function for each mistake. */
import { hex, MemoryError } from "../common/errors.ts";
import type { MistakeCode } from "../common/mistakes.ts";

/** The codes that a ManagedError can have. */
export type ManagedErrorCode = Extract<
  MistakeCode,
  "ERR_NOT_MANAGED" | "ERR_COLLECTOR_ENDED" | "ERR_HANDLE_RELEASED"
>;

/** A mistake with a managed block. Everything is as it was before the call. */
export class ManagedError extends MemoryError<ManagedErrorCode> {
  /** For people: the kind of error. */
  override readonly name = "ManagedError";
}

export function notManaged(call: string, ptr: number): ManagedError {
  const message = `${call}: ${hex(ptr)} is not a live block of this manager`;
  return new ManagedError("ERR_NOT_MANAGED", ptr, message);
}

export function collectorEnded(): ManagedError {
  return new ManagedError("ERR_COLLECTOR_ENDED", 0, "the collector has ended");
}

export function handleDestroyed(): ManagedError {
  return new ManagedError("ERR_HANDLE_RELEASED", 0, "the handle was destroyed");
}

/** Checks the offsets of pointers that a kind of block names. */
export function checkPointers(pointers: readonly number[]): void {
  for (const offset of pointers) {
    if (Number.isInteger(offset) && offset >= 0 && offset % 4 === 0) continue;
    throw new RangeError(`pointers: offsets must be multiples of 4, not ${offset}`);
  }
}
