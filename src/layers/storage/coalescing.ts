/** Blocks of exact sizes that join with their free neighbours. */

import { defineLayer, type Layer } from "../pool/contract.ts";
import { checkWhole } from "../pool/errors.ts";
import { Arenas } from "./arenas.ts";
import { sizeAt, TAG } from "./boundary-tags.ts";

/**
 * Cuts blocks of the size that is asked for, plus 4 bytes and rounding to 16, from arenas of
 * `bytes`, and joins free neighbours by boundary tags. All empty arenas but one go back to the
 * source. It knows the sizes of blocks. Price: a search in a list of blocks of similar size.
 *
 * @param bytes of an arena. Default: 65536.
 * @throws TypeError or RangeError unless bytes is a whole number from 64 to 2^30.
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
