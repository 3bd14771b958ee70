/** Blocks of powers of two that find their other half. */
import { alignmentNeed, type Layer, layerOf, type Traits } from "../pool/contract.ts";
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
    alignmentNeed("buddy", source, ARENA);
    const halves = new Halves(source);
    const traits = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
    return layerOf("buddy", source, traits, {
      get: (size) => halves.get(size),
      put: (ptr, size) => halves.put(ptr, size),
      deinit() {
        halves.clear();
        source.deinit();
      },
      owns: (ptr) => halves.owns(ptr),
      figures: () => halves.counter.figures(),
    });
  };
}
