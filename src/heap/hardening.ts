/** terrane/hardening: the hardened builds of the core, which only those who want them load. */

import { wrongKind } from "../common/errors.ts";
import { type OptionRow, optionsCheck } from "../common/option-table.ts";
import { createCore as js } from "../core/embed/core-hard-js.js";
import { coreHardWasm as wasm } from "../core/embed/core-hard-wasm.js";
import { createCore as sharedJs } from "../core/embed/core-shared-hard-js.js";
import { coreSharedHardWasm as sharedWasm } from "../core/embed/core-shared-hard-wasm.js";
import {
  type HardenedCores,
  type Hardening,
  type HardeningFeature,
  hardeningFeatures,
} from "./hardening-features.ts";

export type { HardenedCores, Hardening, HardeningFeature } from "./hardening-features.ts";
export { hardeningFeatures } from "./hardening-features.ts";

export interface HardeningOptions {
  features?: readonly HardeningFeature[] | undefined;
  seed?: number | undefined;
}

const cores: HardenedCores = { wasm, sharedWasm, js, sharedJs };

/** Every option of hardening(). */
export const hardeningOptions: OptionRow[] = [
  {
    name: "features",
    type: "feature[]",
    default: "all",
    text: "Those that are on; an empty list is the hardened core with nothing on.",
    refuse: featuresRefuse,
  },
  {
    name: "seed",
    type: "number",
    default: "random",
    text: "A whole number of 32 bits: the same seed gives the same keys and orders.",
    refuse: seedRefuse,
  },
];

/**
 * What a heap needs to be hardened: features, and the builds of the core that have them. In a
 * thread that attaches to a heap of the js back end it brings the builds, without options.
 *
 * @throws TypeError or RangeError for unknown options and features, and seeds that are no word.
 * @example
 * const heap = createHeap({ hardening: hardening({ features: ["padding", "doubleFree"] }) });
 */
export function hardening(options: HardeningOptions = {}): Hardening {
  optionsCheck(hardeningOptions, options);
  return { features: options.features, seed: options.seed, cores };
}

function featuresRefuse(value: unknown): Error | undefined {
  if (!Array.isArray(value)) return wrongKind("features", "a list", value);
  const wrong = value.findIndex((name) => !hardeningFeatures.includes(name));
  if (wrong < 0) return undefined;
  const known = hardeningFeatures.join(", ");
  return new RangeError(`unknown hardening feature ${String(value[wrong])}; known: ${known}`);
}

function seedRefuse(value: unknown): Error | undefined {
  if (typeof value !== "number") return wrongKind("seed", "a number", value);
  if (value >>> 0 === value) return undefined;
  return new RangeError(`seed must be a whole number from 0 to 4294967295, not ${value}`);
}
