/** A source for tests: out of memory at a growth of one's choice. */
import type { MemorySource } from "./source.ts";

export interface FailingMemory extends MemorySource {
  /** Growths asked for so far. */
  readonly growths: number;
  /** Refuses the n-th growth (from 1) and all later ones; Infinity refuses none. */
  refuseFrom: number;
}

/**
 * Passes everything to another source, but refuses growths from the n-th on.
 *
 * @example
 * const source = failingMemory(wasmMemory(), 3);
 */
export function failingMemory(source: MemorySource, refuseFrom: number): FailingMemory {
  if (!(refuseFrom >= 1)) throw new RangeError(`refuseFrom must be at least 1, not ${refuseFrom}`);
  let growths = 0;
  return {
    kind: `failing ${source.kind}`,
    capabilities: source.capabilities,
    get buffer() {
      return source.buffer;
    },
    start: source.start,
    ...(source.memory && { memory: source.memory }),
    ...(source.pages && { pages: source.pages }),
    get growths() {
      return growths;
    },
    refuseFrom,
    grow(slices) {
      growths += 1;
      return growths >= this.refuseFrom ? 0 : source.grow(slices);
    },
  };
}
