/** Counts blocks and bytes. */
import { defineLayer, type Layer, type Over, type Pool, type Traits } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";

/**
 * Counts the blocks and bytes that pass. The numbers of blocks and the peak stay after `destroy`.
 *
 * @example
 * const pool = pipe(std(heap), stats());
 * pool.get(100);
 * statsOf(pool)?.bytes; // 100
 */
export function stats(): Layer<{ readonly sized: true }> {
  return (source) => {
    const counter = new Counter();
    return counted("stats", source, counter, (size) => {
      const ptr = source.get(size);
      if (ptr !== 0) counter.got(size);
      return ptr;
    });
  };
}

/** A layer that blocks pass through unchanged; `get` counts the blocks that it gives. */
export function counted<T extends Traits>(
  name: string,
  source: Pool<T>,
  counter: Counter,
  get: (size: number) => number,
): Pool<Over<T, { readonly sized: true }>> {
  return defineLayer(
    name,
    source,
    { sized: true },
    {
      get,
      put(ptr, size) {
        source.put(ptr, size);
        counter.put(size);
      },
      destroy() {
        if (source.traits.drops) counter.drop();
        source.destroy();
      },
      stats: () => counter.stats(),
    },
  );
}
