/** The pool that has no memory. */
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Returns 0 for every request: the end of a fallback, or of a hybrid that serves one side only.
 *
 * @example
 * const onlySmall = hybrid(256, pool, nothing()(ground()(pool)));
 */
export function nothing(): Layer<{
  readonly alignment: 65536;
  readonly drops: true;
  readonly owns: true;
  readonly zeroed: true;
}> {
  const gives = { alignment: 65536, drops: true, owns: true, zeroed: true } as const;
  return (source) =>
    defineLayer("nothing", source, gives, {
      get: () => 0,
      put: () => {},
      destroy: () => source.destroy(),
      owns: () => false,
    });
}
