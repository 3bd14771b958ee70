/** Blocks of any size that join their free neighbours. */
import { Arenas } from "../pool/arenas.ts";
import { defineLayer, type Layer } from "../pool/contract.ts";
import { checkWhole } from "../pool/errors.ts";
import { sizeAt, TAG } from "../pool/tags.ts";

/**
 * Cuts blocks of exactly what is asked for (4 bytes and rounding more) from arenas of `bytes`, and
 * joins free neighbours by boundary tags. Empty arenas go back to the source, but for one.
 * It knows sizes. Price: a search in a list of blocks of similar size.
 *
 * @throws RangeError unless bytes is 64 to 2^30.
 * @example
 * const pool = pipe(std(heap), coalescing());
 */
export function coalescing(bytes = 65536): Layer<{
  readonly alignment: 16;
  readonly sized: false;
  readonly drops: true;
  readonly owns: true;
  readonly zeroed: false;
}> {
  checkWhole("coalescing: bytes", bytes, 64, 2 ** 30);
  const gives = { alignment: 16, sized: false, drops: true, owns: true, zeroed: false } as const;
  return (source) => {
    const arenas = new Arenas(source, bytes - (bytes % 16));
    return defineLayer(`coalescing(${bytes})`, source, gives, {
      get: (size) => arenas.get(size),
      put: (ptr) => arenas.put(ptr),
      destroy() {
        arenas.clear();
        source.destroy();
      },
      sizeOf: (ptr) => sizeAt(source.memory.u32(), ptr) - TAG,
      owns: (ptr) => arenas.owns(ptr),
      stats: () => arenas.counter.stats(),
    });
  };
}
