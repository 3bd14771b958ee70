/** Counts. */
import { type Layer, layerOf } from "./contract.ts";
import { Counter } from "./counter.ts";

/**
 * Counts blocks and bytes that pass. What was counted stays after deinit.
 *
 * @example
 * const pool = pipe(std(heap), stats());
 * pool.get(100);
 * gauge(pool)?.bytes; // 100
 */
export function stats(): Layer<{ readonly sized: true }> {
  return (source) => {
    const counter = new Counter();
    return layerOf(
      "stats",
      source,
      { sized: true },
      {
        get(size) {
          const ptr = source.get(size);
          if (ptr !== 0) counter.got(size);
          return ptr;
        },
        put(ptr, size) {
          source.put(ptr, size);
          counter.put(size);
        },
        deinit() {
          if (source.traits.drops) counter.drop();
          source.deinit();
        },
        figures: () => counter.figures(),
      },
    );
  };
}
