/** One pool for all that ask for it. */
import { defineLayer, type Pool } from "../pool/contract.ts";

/**
 * Makes one pool of each source, by `make` at the first use, and shares it: whoever puts this layer
 * on the same source gets a view of the same pool. It ends with the last view that was used since.
 *
 * @example
 * const small = unique((source) => pipe(source, chunk(), segregated()));
 * const [a, b] = [small(base), small(base)]; // both serve from the same chunks
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

export interface UniqueTraits {
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: false;
  readonly owns: false;
  readonly zeroed: false;
}

interface Shared {
  readonly pool: Pool;
  /** Views that were used since the pool was as new. */
  readonly users: Set<object>;
}
