/** Keeps the sizes of blocks. */
import { defineLayer, type Layer } from "../pool/contract.ts";

// raw                        ptr = raw + 16
//  | unused | unused | unused | size | user's bytes … |
const HEADER = 16;

/**
 * Writes the size of each block into 16 bytes before it, so that `put` needs no size.
 *
 * @example
 * const pool = pipe(std(heap), stats(), header());
 * const ptr = pool.get(100);
 * pool.sizeOf(ptr); // 100
 */
export function header(): Layer<{
  readonly alignment: 16;
  readonly sized: false;
  readonly owns: false;
}> {
  return (source) => {
    const { memory } = source;
    const sizeOf = (ptr: number) => memory.u32()[(ptr - 4) >>> 2] as number;
    return defineLayer(
      "header",
      source,
      { alignment: 16, sized: false, owns: false },
      {
        get(size) {
          const raw = source.get(size + HEADER);
          if (raw === 0) return 0;
          memory.u32()[(raw + 12) >>> 2] = size;
          return raw + HEADER;
        },
        put: (ptr) => source.put(ptr - HEADER, sizeOf(ptr) + HEADER),
        destroy: () => source.destroy(),
        sizeOf,
      },
    );
  };
}
