/** What can go wrong with layers and regions: one function for each mistake. */

import { hex, MemoryError } from "../../common/errors.ts";
import { hasMembers } from "../../common/kinds.ts";
import type { MistakeCode } from "../../common/mistakes.ts";

/** The codes that a LayerError can have. */
export type LayerErrorCode = Extract<
  MistakeCode,
  | "ERR_LEAK"
  | "ERR_NOT_A_BLOCK"
  | "ERR_DOUBLE_FREE"
  | "ERR_SIZE_MISMATCH"
  | "ERR_WRITE_AFTER_FREE"
  | "ERR_REGION_ENDED"
  | "ERR_REGION_OPEN"
  | "ERR_ASYNC_RESOURCE"
>;

/** A block in use, or one that was. */
export interface Held {
  /** Its address. */
  readonly ptr: number;
  /** Bytes that were asked for. */
  readonly size: number;
  /** The stack of its allocation, one frame on a line, if the region keeps stacks. */
  readonly stack?: string | undefined;
}

/**
 * A mistake with blocks or regions. A `put` or `free` that throws it has changed nothing, unless
 * the layer says otherwise. For ERR_LEAK, `ptr` is the first block that leaked.
 */
export class LayerError extends MemoryError<LayerErrorCode> {
  /** For people: the kind of error. */
  override readonly name = "LayerError";
  /** The blocks that were not freed, for ERR_LEAK; else empty. */
  readonly leaks: readonly Held[];

  /** Made by layers and regions. */
  constructor(code: LayerErrorCode, ptr: number, message: string, leaks: readonly Held[] = []) {
    super(code, ptr, message);
    this.leaks = leaks;
  }
}

export function doubleFree(ptr: number): LayerError {
  return new LayerError("ERR_DOUBLE_FREE", ptr, `put: ${hex(ptr)} was put before`);
}

export function notABlock(ptr: number): LayerError {
  const message = `put: ${hex(ptr)} is not a block of this pool: put it to the pool that gave it`;
  return new LayerError("ERR_NOT_A_BLOCK", ptr, message);
}

export function sizeMismatch(ptr: number, size: number, given: number): LayerError {
  return new LayerError(
    "ERR_SIZE_MISMATCH",
    ptr,
    `put: the block at ${hex(ptr)} was allocated with ${size} bytes, not ${given}`,
  );
}

/** How many leaked blocks a message names. */
const LEAKS_NAMED = 8;

export function poolLeak(leaks: readonly Held[]): LayerError {
  const named = leaks.slice(0, LEAKS_NAMED).map(({ ptr, size }) => `${hex(ptr)} (${size} bytes)`);
  if (leaks.length > LEAKS_NAMED) named.push("…");
  const message = `destroy: ${amountOf(leaks)} never put: ${named.join(", ")}`;
  return new LayerError("ERR_LEAK", leaks[0]?.ptr ?? 0, message, leaks);
}

/** For the end of a region that checks: each block on a line, and below it its stack, if any. */
export function regionLeak(label: string, leaks: readonly Held[]): LayerError {
  const named = leaks.slice(0, LEAKS_NAMED).map(leakLines);
  if (leaks.length > LEAKS_NAMED) named.push(`  and ${leaks.length - LEAKS_NAMED} more`);
  const message = `region "${label}" ended with ${amountOf(leaks)} not freed:\n${named.join("\n")}`;
  return new LayerError("ERR_LEAK", leaks[0]?.ptr ?? 0, message, leaks);
}

function leakLines({ ptr, size, stack }: Held): string {
  const line = `  ${hex(ptr)}, ${size} bytes`;
  return stack === undefined ? line : `${line}, allocated\n${stack}`;
}

function amountOf(leaks: readonly Held[]): string {
  const bytes = leaks.reduce((sum, { size }) => sum + size, 0);
  return `${leaks.length} ${leaks.length === 1 ? "block" : "blocks"} of ${bytes} bytes`;
}

export function freedBefore(call: string, ptr: number): LayerError {
  return new LayerError("ERR_DOUBLE_FREE", ptr, `${call}: ${hex(ptr)} was freed before`);
}

/** Where threads share the memory, the block can be one of another thread's region. */
export function notARegionBlock(call: string, ptr: number, isShared: boolean): LayerError {
  const message = `${call}: ${hex(ptr)} is not a block of a region`;
  const more = " of this thread; the thread that allocated a block frees and resizes it";
  return new LayerError("ERR_NOT_A_BLOCK", ptr, isShared ? message + more : message);
}

export function regionOfBlockEnded(call: string, ptr: number): LayerError {
  const message = `${call}: the region of ${hex(ptr)} has ended`;
  return new LayerError("ERR_REGION_ENDED", ptr, message);
}

export function regionEnded(label: string): LayerError {
  return new LayerError("ERR_REGION_ENDED", 0, `region "${label}" has ended`);
}

export function regionsOpen(label: string, inner: readonly { label: string }[]): LayerError {
  const names = inner.map((region) => `"${region.label}"`).join(", ");
  const message = `region "${label}" ended, and with it the regions in it that were open: ${names}`;
  return new LayerError("ERR_REGION_OPEN", 0, message);
}

export function resourceAsync(label: string): LayerError {
  const message = `region "${label}" has async resources: end it by destroyAsync or await using`;
  return new LayerError("ERR_ASYNC_RESOURCE", 0, message);
}

export function groundInUse(): TypeError {
  return new TypeError("setGroundHeap: call it before the first use of the ground region");
}

export function groundCannotEnd(): TypeError {
  return new TypeError("the ground region lasts as long as its thread");
}

export function poolInUse(name: string): TypeError {
  return new TypeError(`enter: the pool ${name} serves another region: end that region first`);
}

export function notALayer(): TypeError {
  return new TypeError(
    "enter: layer must be a layer or a pool: arena, (source) => pipe(source, chunk()), " +
      "pipe(slices(memory), chunk()), or for a heap std(heap)",
  );
}

export function noBlockList(label: string): TypeError {
  return new TypeError(
    `region "${label}" keeps no list of its blocks: enter it with { check: true }`,
  );
}

export function notDisposable(): TypeError {
  return new TypeError("use: the resource has neither Symbol.dispose nor Symbol.asyncDispose");
}

export function callMissing(name: string, call: string): TypeError {
  return new TypeError(`${name} has no ${call}`);
}

export function notAPool(name: string): TypeError {
  return new TypeError(`${name}: the source must be a pool`);
}

export function alignmentTooSmall(name: string, needed: number, source: string, has: number) {
  return new TypeError(
    `${name} needs a source aligned to ${needed} bytes; ${source} is aligned to ${has}`,
  );
}

export function memoriesDiffer(name: string): TypeError {
  return new TypeError(`${name}: its pools must lie in one memory`);
}

/** The regions of a thread take each other's pointers, so all of them are in one memory. */
export function regionMemoriesDiffer(): TypeError {
  return new TypeError(
    "enter: the pool lies in another memory than the ground region, which is in use already: " +
      "call setGroundHeap(heap) with a heap of that memory before the first allocation, or take " +
      "memory from the region around: enter((source) => pipe(source, …)), or outerSource()",
  );
}

export function writtenAfterFree({ ptr, size }: Held, offset: number): LayerError {
  const block = `the block of ${size} bytes at ${hex(ptr)}`;
  const message = `put: byte ${offset} of ${block} was written after the block was put`;
  return new LayerError("ERR_WRITE_AFTER_FREE", ptr, message);
}

/** Checks the element of an Int32Array that threads share. */
export function checkWord(name: string, words: unknown, index: number, shared: boolean): void {
  if (!(words instanceof Int32Array)) throw new TypeError(`${name}: needs an Int32Array`);
  if (shared && !(words.buffer instanceof SharedArrayBuffer)) {
    throw new TypeError(`${name}: the Int32Array must lie in a SharedArrayBuffer`);
  }
  if (!Number.isInteger(index) || index < 0 || index >= words.length) {
    throw new RangeError(`${name}: the Int32Array has no element ${index}`);
  }
}

/** Checks a number of bytes or blocks that an option of a layer gives. */
export function checkWhole(what: string, value: unknown, from: number, to = 0x7fffffff): void {
  if (typeof value !== "number") throw new TypeError(`${what} must be a number`);
  if (!Number.isInteger(value) || value < from || value > to) {
    throw new RangeError(`${what} must be a whole number from ${from} to ${to}, not ${value}`);
  }
}

/** @throws TypeError unless the value is a pool. */
export function requirePool(name: string, pool: unknown): void {
  if (!hasMembers(pool, "traits", "memory", "below", "get", "put")) throw notAPool(name);
}
