/** Blocks whose bytes are zero. */
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Clears each block before it is given. Price: a fill for each `get`, unless the source's blocks
 * are zero.
 *
 * @example
 * const pool = pipe(std(heap), zeroing());
 */
export function zeroing(): Layer<{ readonly zeroed: true }> {
  return (source) => {
    const { memory } = source;
    const { zeroed } = source.traits;
    return defineLayer(
      "zeroing",
      source,
      { zeroed: true },
      {
        get(size) {
          const ptr = source.get(size);
          if (ptr !== 0 && !zeroed) memory.bytes().fill(0, ptr, ptr + size);
          return ptr;
        },
        put: (ptr, size) => source.put(ptr, size),
        destroy: () => source.destroy(),
      },
    );
  };
}
