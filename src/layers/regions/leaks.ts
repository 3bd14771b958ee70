/** Leaks as failures of tests. */
import { bypass } from "../combine/bypass.ts";
import { enter, type RegionLayer } from "./enter.ts";
import type { Region } from "./region.ts";

export interface LeakOptions {
  /** How fn allocates. Default: from the region around. */
  layer?: RegionLayer | undefined;
  /** The name in the error's text. Default: "expectNoLeaks". */
  label?: string | undefined;
  /** Whether the error tells where each block was allocated. Default: true. */
  stacks?: boolean | undefined;
}

/**
 * Calls fn in a region of its own, answers what it answers, and throws when it left blocks in the
 * current region. For node:test, vitest and whatever else takes an error as a failure. fn may be
 * async; what it allocates in regions that it enters, or by `escape`, does not count.
 *
 * @throws LayerError ERR_LEAK with the blocks in `leaks` and in its text.
 * @example
 * test("the parser frees what it takes", () => expectNoLeaks(() => parse("[1, 2]").free()));
 */
export function expectNoLeaks<R>(fn: (region: Region) => R, options: LeakOptions = {}): R {
  const { layer = bypass(), label = "expectNoLeaks", stacks = true } = options;
  return enter(layer, fn, { label, stacks, check: true });
}
