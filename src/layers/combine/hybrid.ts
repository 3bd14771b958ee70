/** Two pools, chosen by size. */
import type { Pool, Traits } from "../pool/contract.ts";
import { checkWhole } from "../pool/errors.ts";
import { type Both, forkOf } from "../pool/forks.ts";

/**
 * Requests of up to `most` bytes go to `small`, others to `big`. destroy ends small, then big.
 *
 * @throws RangeError for a size that makes no sense, TypeError for pools of two memories.
 * @example
 * const pool = hybrid(256, pipe(ground()(base), segregated()), base);
 */
export function hybrid<A extends Traits, B extends Traits>(
  most: number,
  small: Pool<A>,
  big: Pool<B>,
): Pool<Both<A, B>> {
  checkWhole("hybrid: most", most, 0);
  return forkOf(`hybrid(${most})`, small, big, {
    get: (size) => (size <= most ? small.get(size) : big.get(size)),
    put(ptr, size) {
      if (size <= most) small.put(ptr, size);
      else big.put(ptr, size);
    },
  });
}
