/** What WebAssembly throws at a guard, and who knows its address. */
import { type FaultWatch, watchFaults } from "../../memory/index.ts";

/** What V8 throws for a fault in WebAssembly code, the same as for an access behind the end. */
export function isTrap(error: unknown): error is Error {
  if (!(error instanceof Error) || error.name !== "RuntimeError") return false;
  return /memory access out of bounds/.test(error.message);
}

/** Node's own frames tell the user nothing. */
export function linesOfUser({ stack = "" }: Error): string {
  return stack
    .split("\n")
    .filter((line) => !/[( ]node:/.test(line))
    .join("\n");
}

export function watchOpen(address: number, bytes: number): FaultWatch {
  const watch = watchFaults(address, bytes);
  if (watch.available) return watch;
  throw new RangeError(`guarded: faults: true is not possible: ${watch.missing}`);
}
