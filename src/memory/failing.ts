/** A source for tests: out of memory at a chosen growth. */
import { wrongKind } from "../common/errors.ts";
import { checkSource, type MemorySource } from "./source.ts";

/** A memory that refuses growths: see `failingMemory`. */
export interface FailingMemory extends MemorySource {
  /** Number of growths that were asked for. */
  readonly growths: number;
  /** The first growth that is refused, from 1; all later ones are refused too. Infinity: none. */
  refuseFrom: number;
}

/**
 * Passes everything to another source, but refuses growths from the n-th on.
 *
 * @param source the memory.
 * @param refuseFrom the first growth that is refused, from 1; Infinity refuses none.
 * @throws TypeError unless source is a memory source and refuseFrom a number.
 * @throws RangeError when refuseFrom is below 1.
 * @example
 * const source = failingMemory(wasmMemory(), 3);
 */
export function failingMemory(source: MemorySource, refuseFrom: number): FailingMemory {
  checkSource("source", source);
  if (typeof refuseFrom !== "number") throw wrongKind("refuseFrom", "a number", refuseFrom);
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
    ...(source.maximum !== undefined && { maximum: source.maximum }),
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
