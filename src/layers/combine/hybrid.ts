/** Two pools, chosen by the size of the request. */
import type { Pool, Traits } from "../pool/contract.ts";
import { checkWhole } from "../pool/errors.ts";
import { type Both, forkOf } from "./forks.ts";

/**
 * Requests of up to `most` bytes go to `small`, others to `big`. `destroy` destroys small, then
 * big.
 *
 * @throws TypeError or RangeError unless most is a whole number from 0 on; TypeError for pools of
 * two memories.
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
