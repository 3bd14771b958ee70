/** A limit of the bytes in use. */
import type { Layer } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { counted } from "./stats.ts";

/**
 * Returns 0 for requests that would bring the bytes in use above `bytes`.
 *
 * @throws TypeError or RangeError unless bytes is a whole number from 0 to 2^32.
 * @example
 * const pool = pipe(std(heap), limit(1e6));
 */
export function limit(bytes: number): Layer<{ readonly sized: true }> {
  checkWhole("limit: bytes", bytes, 0, 2 ** 32);
  return (source) => {
    const counter = new Counter();
    return counted(`limit(${bytes})`, source, counter, (size) => {
      if (counter.bytes + size > bytes) return 0;
      const ptr = source.get(size);
      if (ptr !== 0) counter.got(size);
      return ptr;
    });
  };
}
