/** A second pool for when the first has nothing. */
import type { Pool, Traits } from "../pool/contract.ts";
import { callMissing } from "../pool/errors.ts";
import { type Both, forkOf } from "../pool/forks.ts";

/**
 * Asks `second` when `first` answers 0. `first` must be able to tell its blocks (trait `owns`):
 * put asks it whose a block is. destroy ends first, then second.
 *
 * @throws TypeError for pools of two memories, or when first has no `owns`.
 * @example
 * const pool = fallback(pipe(ground()(base), limit(4096), chunk(1024)), base);
 */
export function fallback<A extends Traits & { readonly owns: true }, B extends Traits>(
  first: Pool<A>,
  second: Pool<B>,
): Pool<Both<A, B>> {
  if (!first.traits.owns) throw callMissing(`fallback: ${first.name}`, "owns");
  return forkOf("fallback", first, second, {
    get: (size) => first.get(size) || second.get(size),
    put(ptr, size) {
      if (first.owns(ptr)) first.put(ptr, size);
      else second.put(ptr, size);
    },
  });
}
