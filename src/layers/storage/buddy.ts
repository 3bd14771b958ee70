/** The buddy system: blocks of powers of two that join with their other half. */
import { defineLayer, type Layer, requireAlignment, type Traits } from "../pool/contract.ts";
import { ARENA, BuddyArenas } from "./buddy-arenas.ts";

/**
 * Halves arenas of 64 KiB until a block fits, and joins two halves when both are free. Larger
 * requests go to the source. Needs a source that is aligned to 65536, so that an address tells its
 * arena. Price: up to half of a block, and 4 KiB of JavaScript memory for each arena.
 *
 * @throws TypeError when the source is aligned to less.
 * @example
 * const pool = pipe(slices(wasmMemory()), buddy());
 */
export function buddy(): Layer<
  {
    readonly alignment: 16;
    readonly sized: true;
    readonly drops: true;
    readonly owns: true;
    readonly zeroed: false;
  },
  Traits & { readonly alignment: 65536 }
> {
  return (source) => {
    requireAlignment("buddy", source, ARENA);
    const arenas = new BuddyArenas(source);
    const traits = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
    return defineLayer("buddy", source, traits, {
      get: (size) => arenas.get(size),
      put: (ptr, size) => arenas.put(ptr, size),
      destroy() {
        arenas.clear();
        source.destroy();
      },
      owns: (ptr) => arenas.owns(ptr),
      stats: () => arenas.counter.stats(),
    });
  };
}
