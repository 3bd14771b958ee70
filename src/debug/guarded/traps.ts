/**
 * Errors that WebAssembly throws for an access to a guard, and the handler that finds addresses.
 */
import { HeapError } from "../../common/errors.ts";
import { type FaultWatch, watchFaults } from "../../memory/index.ts";

/**
 * What V8 throws for a fault in WebAssembly code, as for an access past the end of the memory;
 * undefined for any other error. Calls of a heap take such an error for damage of theirs.
 */
export function trapOf(error: unknown): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof HeapError && error.code === "ERR_HEAP_DAMAGED") return trapOf(error.cause);
  if (error.name !== "RuntimeError") return undefined;
  return /memory access out of bounds/.test(error.message) ? error : undefined;
}

/** The stack of an error without the frames of Node, which are of no use to the user. */
export function userLines({ stack = "" }: Error): string {
  return stack
    .split("\n")
    .filter((line) => !/[( ]node:/.test(line))
    .join("\n");
}

/** @throws RangeError where there is no handler. */
export function openWatch(address: number, bytes: number): FaultWatch {
  const watch = watchFaults(address, bytes);
  if (watch.available) return watch;
  throw new RangeError(`guarded: faults: true is not possible: ${watch.missing}`);
}
