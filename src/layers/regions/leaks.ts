/** Leaks as failures of tests. */
import { wrongKind } from "../../common/errors.ts";
import { checkObject } from "../../common/kinds.ts";
import { bypass } from "../combine/bypass.ts";
import { enter, type RegionLayer } from "./enter.ts";
import type { Region } from "./region.ts";

/** Options of `expectNoLeaks`. */
export interface LeakOptions {
  /** How fn allocates. Default: from the region around it. */
  layer?: RegionLayer | undefined;
  /** The name in the text of the error. Default: "expectNoLeaks". */
  label?: string | undefined;
  /** Whether the error has the stack of each allocation. Default: true. */
  stacks?: boolean | undefined;
}

/**
 * Calls fn in a region of its own, returns what fn returns, and throws when fn left blocks in that
 * region. For node:test, vitest, and everything else that takes an error as a failure. fn may be
 * async. What it allocates in regions that it enters, or by `escape`, does not count.
 *
 * @throws LayerError ERR_LEAK with the blocks in `leaks` and in its text; or what fn throws.
 * @example
 * test("the parser frees what it takes", () => expectNoLeaks(() => parse("[1, 2]").free()));
 */
export function expectNoLeaks<R>(fn: (region: Region) => R, options: LeakOptions = {}): R {
  if (typeof fn !== "function") throw wrongKind("expectNoLeaks: fn", "a function", fn);
  checkObject("expectNoLeaks: options", options);
  const { layer = bypass(), label = "expectNoLeaks", stacks = true } = options;
  return enter(layer, fn, { label, stacks, check: true });
}
