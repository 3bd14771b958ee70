/** Blocks of powers of two that find their other half. */
import { defineLayer, type Layer, requireAlignment, type Traits } from "../pool/contract.ts";
import { ARENA, Halves } from "../pool/halves.ts";

/**
 * Halves arenas of 64 KiB until a block fits, and joins halves again when both are free. Larger
 * requests go to the source. Needs a source aligned to 65536: an address tells its arena then.
 * Price: up to half of a block; 4 KiB of marks an arena.
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
    const halves = new Halves(source);
    const traits = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
    return defineLayer("buddy", source, traits, {
      get: (size) => halves.get(size),
      put: (ptr, size) => halves.put(ptr, size),
      destroy() {
        halves.clear();
        source.destroy();
      },
      owns: (ptr) => halves.owns(ptr),
      stats: () => halves.counter.stats(),
    });
  };
}
