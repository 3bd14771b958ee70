/** A second pool for requests that the first cannot serve. */
import type { Pool, Traits } from "../pool/contract.ts";
import { callMissing, requirePool } from "../pool/errors.ts";
import { type Both, forkOf } from "./forks.ts";

/**
 * Takes a block from `second` when `first` returns 0. `first` must know its blocks (trait `owns`):
 * `put` uses that to find the pool of a block. `destroy` destroys first, then second.
 *
 * @throws TypeError for pools of two memories, or when first has no `owns`.
 * @example
 * const pool = fallback(pipe(ground()(base), limit(4096), chunk(1024)), base);
 */
export function fallback<A extends Traits & { readonly owns: true }, B extends Traits>(
  first: Pool<A>,
  second: Pool<B>,
): Pool<Both<A, B>> {
  requirePool("fallback", first);
  if (!first.traits.owns) throw callMissing(`fallback: ${first.name}`, "owns");
  return forkOf("fallback", first, second, {
    get: (size) => first.get(size) || second.get(size),
    put(ptr, size) {
      if (first.owns(ptr)) first.put(ptr, size);
      else second.put(ptr, size);
    },
  });
}
