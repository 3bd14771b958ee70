/** The layer that does nothing: a template for authors. */
import { type Layer, layerOf } from "../pool/contract.ts";

/**
 * Passes everything to its source.
 *
 * @example
 * const pool = bypass()(std(createHeap()));
 */
export function bypass(): Layer<Record<never, never>> {
  return (source) =>
    layerOf(
      "bypass",
      source,
      {},
      {
        get: (size) => source.get(size),
        put: (ptr, size) => source.put(ptr, size),
        deinit: () => source.deinit(),
      },
    );
}
