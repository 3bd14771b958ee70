/** Where the destruction of a composition stops. */
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Passes everything to its source except `destroy`: put it below compositions that share a pool.
 * Blocks that were not put stay allocated in the source.
 *
 * @example
 * const requests = pipe(ground()(shared), zone());
 */
export function ground(): Layer<{ readonly drops: false }> {
  return (source) =>
    defineLayer(
      "ground",
      source,
      { drops: false },
      {
        get: (size) => source.get(size),
        put: (ptr, size) => source.put(ptr, size),
        destroy: () => {},
      },
    );
}
