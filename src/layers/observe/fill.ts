/** Patterns in fresh and in freed blocks, which show reads of both. */
import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Layer } from "../pool/contract.ts";
import { checkWhole } from "../pool/errors.ts";

/** Options of `fill`. */
export interface FillOptions {
  /** The byte, 0 to 255, that blocks are filled with when they are given. Default: 0xd0. */
  fresh?: number | undefined;
  /** The byte, 0 to 255, that blocks are filled with when they are put. Default: 0xdf. */
  freed?: number | undefined;
}

/**
 * Fills blocks when they are given and when they are put. Layers below may write to a block that
 * was put. Price: two fills for each block.
 *
 * @throws TypeError or RangeError unless both are whole numbers from 0 to 255.
 * @example
 * const pool = pipe(std(heap), fill());
 */
export function fill(options: FillOptions = {}): Layer<{
  readonly sized: true;
  readonly zeroed: false;
}> {
  checkObject("fill: options", options);
  const { fresh = 0xd0, freed = 0xdf } = options;
  checkWhole("fill: fresh", fresh, 0, 255);
  checkWhole("fill: freed", freed, 0, 255);
  return (source) => {
    const { memory } = source;
    return defineLayer(
      "fill",
      source,
      { sized: true, zeroed: false },
      {
        get(size) {
          const ptr = source.get(size);
          if (ptr !== 0) memory.bytes().fill(fresh, ptr, ptr + size);
          return ptr;
        },
        put(ptr, size) {
          memory.bytes().fill(freed, ptr, ptr + size);
          source.put(ptr, size);
        },
        destroy: () => source.destroy(),
      },
    );
  };
}
