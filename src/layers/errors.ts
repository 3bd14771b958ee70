/** What can go wrong with layers: one function a mistake. */
import { hex } from "../errors.ts";

export type LayerErrorCode =
  | "ERR_LEAK"
  | "ERR_DOUBLE_PUT"
  | "ERR_FOREIGN_PUT"
  | "ERR_SIZE_MISMATCH";

/** A block that somebody holds. */
export interface Held {
  readonly ptr: number;
  /** Bytes that were asked for. */
  readonly size: number;
}

/** A mistake that `check` has found. The layers are as they were before a put that throws it. */
export class LayerError extends Error {
  override readonly name = "LayerError";
  readonly code: LayerErrorCode;
  /** The pointer that was given; the first leaked block for ERR_LEAK. */
  readonly ptr: number;
  /** The blocks that were not put, for ERR_LEAK. */
  readonly leaks: readonly Held[];

  constructor(code: LayerErrorCode, ptr: number, message: string, leaks: readonly Held[] = []) {
    super(message);
    this.code = code;
    this.ptr = ptr;
    this.leaks = leaks;
  }
}

export function putTwice(ptr: number): LayerError {
  return new LayerError("ERR_DOUBLE_PUT", ptr, `put: ${hex(ptr)} was put before`);
}

export function putForeign(ptr: number): LayerError {
  return new LayerError("ERR_FOREIGN_PUT", ptr, `put: ${hex(ptr)} is no block of this layer`);
}

export function putMismatch(ptr: number, size: number, given: number): LayerError {
  return new LayerError(
    "ERR_SIZE_MISMATCH",
    ptr,
    `put: the block at ${hex(ptr)} was got with ${size} bytes, not ${given}`,
  );
}

/** How many leaked blocks a message names. */
const LEAKS_NAMED = 8;

export function blocksLeaked(leaks: readonly Held[]): LayerError {
  const bytes = leaks.reduce((sum, { size }) => sum + size, 0);
  const named = leaks.slice(0, LEAKS_NAMED).map(({ ptr, size }) => `${hex(ptr)} (${size} bytes)`);
  if (leaks.length > LEAKS_NAMED) named.push("…");
  const what = `${leaks.length} ${leaks.length === 1 ? "block" : "blocks"} of ${bytes} bytes`;
  const message = `deinit: ${what} never put: ${named.join(", ")}`;
  return new LayerError("ERR_LEAK", leaks[0]?.ptr ?? 0, message, leaks);
}

export function verbMissing(name: string, verb: string): TypeError {
  return new TypeError(`${name} has no ${verb}`);
}

export function sourceMissing(name: string): TypeError {
  return new TypeError(`${name}: the source must be a pool`);
}

export function alignmentMissing(name: string, needed: number, source: string, has: number) {
  return new TypeError(
    `${name} needs a source aligned to ${needed} bytes; ${source} is aligned to ${has}`,
  );
}

export function memoriesDiffer(name: string): TypeError {
  return new TypeError(`${name}: its pools must lie in one memory`);
}

/** Checks a number of bytes or blocks that an option of a layer gives. */
export function checkWhole(what: string, value: unknown, from: number, to = 0x7fffffff): void {
  if (typeof value !== "number") throw new TypeError(`${what} must be a number`);
  if (!Number.isInteger(value) || value < from || value > to) {
    throw new RangeError(`${what} must be a whole number from ${from} to ${to}, not ${value}`);
  }
}
