/** Blocks at multiples of more than 16 bytes. */
import { type Alignment, defineLayer, type Layer } from "../pool/contract.ts";
import { checkWhole } from "../pool/errors.ts";

const LIMIT = 65536;

/**
 * Gives blocks whose address is a multiple of `alignment`, and keeps the address of the source's
 * block in the word before each. Price: `alignment` bytes for each block; nothing over a source
 * that has the alignment.
 *
 * @param alignment a power of two from 16 to 65536.
 * @throws TypeError or RangeError for another alignment.
 * @example
 * const pool = pipe(std(heap), aligned(4096));
 */
export function aligned<const A extends Alignment>(
  alignment: A,
): Layer<{ readonly alignment: A; readonly sized: true; readonly owns: false }> {
  checkWhole("aligned: alignment", alignment, 16, LIMIT);
  if ((alignment & (alignment - 1)) !== 0) {
    throw new RangeError(`aligned: alignment must be a power of two, not ${alignment}`);
  }
  return (source) => {
    const { memory } = source;
    const extra = source.traits.alignment >= alignment ? 0 : alignment;
    const below = (ptr: number) => (extra === 0 ? ptr : (memory.u32()[(ptr - 4) >>> 2] as number));
    return defineLayer(
      `aligned(${alignment})`,
      source,
      { alignment, sized: true, owns: false },
      {
        get(size) {
          const raw = source.get(size + extra);
          if (raw === 0 || extra === 0) return raw;
          const ptr = (Math.floor(raw / alignment) + 1) * alignment;
          memory.u32()[(ptr - 4) >>> 2] = raw;
          return ptr;
        },
        put: (ptr, size) => source.put(below(ptr), size + extra),
        destroy: () => source.destroy(),
      },
    );
  };
}
