/** One pool for each source, shared by all that ask for it. */
import { defineLayer, type Pool, type TraitsWith } from "../pool/contract.ts";

/** What the pools of `unique` guarantee. */
export type UniqueTraits = TraitsWith<16, "sized">;

/**
 * Makes one pool for each source, by `make` at the first use, and shares it: each call of the layer
 * with the same source returns a view of the same pool. The pool is destroyed with the last view
 * that was used since it was in its initial state.
 *
 * @throws TypeError unless make is a function.
 * @example
 * const small = unique((source) => pipe(source, chunk(), segregated()));
 * const [a, b] = [small(base), small(base)]; // both get blocks from the same chunks
 */
export function unique(make: (source: Pool) => Pool): (source: Pool) => Pool<UniqueTraits> {
  if (typeof make !== "function") throw new TypeError("unique: make must be a function");
  const shared = new WeakMap<object, Shared>();
  const gives = { alignment: 16, sized: true, drops: false, owns: false, zeroed: false } as const;
  return (source) => {
    let one = shared.get(source);
    if (!one) {
      one = { pool: make(source), users: new Set() };
      shared.set(source, one);
    }
    const { pool, users } = one;
    const view = {};
    return defineLayer("unique", pool, gives, {
      get(size) {
        users.add(view);
        return pool.get(size);
      },
      put: (ptr, size) => pool.put(ptr, size),
      destroy() {
        if (users.delete(view) && users.size === 0) pool.destroy();
      },
    });
  };
}

interface Shared {
  readonly pool: Pool;
  /** Views that were used since the pool was in its initial state. */
  readonly users: Set<object>;
}
