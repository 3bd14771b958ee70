/** The layer that does nothing: a template for layers of your own. */
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Passes everything to its source.
 *
 * @example
 * const pool = bypass()(std(createHeap()));
 */
export function bypass(): Layer<Record<never, never>> {
  return (source) =>
    defineLayer(
      "bypass",
      source,
      {},
      {
        get: (size) => source.get(size),
        put: (ptr, size) => source.put(ptr, size),
        destroy: () => source.destroy(),
      },
    );
}
