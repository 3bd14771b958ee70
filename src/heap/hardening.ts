/**
 * terrane/hardening: the hardened builds of the core. Each function brings one of them, so that a
 * bundled program carries no other.
 */

import { wrongKind } from "../common/errors.ts";
import { type OptionCheck, optionsCheck } from "../common/option-table.ts";
import { createCore } from "../core/embed/core-hard-js.js";
import { coreHardWasm } from "../core/embed/core-hard-wasm.js";
import { createCore as createSharedCore } from "../core/embed/core-shared-hard-js.js";
import { coreSharedHardWasm } from "../core/embed/core-shared-hard-wasm.js";
import {
  bitsOf,
  type Hardening,
  type HardeningFeature,
  hardeningFeatures,
  type SharedHardening,
} from "./hardening-features.ts";
import { hardHost } from "./hardening-host.ts";
import { jsBuild, sharedJsBuild } from "./js-builds.ts";
import type { JavaScriptBackEnd, SharedJavaScriptBackEnd } from "./options.ts";
import { sharedWasmBuild, wasmBuild } from "./wasm-builds.ts";

export type { Hardening, HardeningFeature, SharedHardening } from "./hardening-features.ts";
export { hardeningFeatures } from "./hardening-features.ts";
export type { JavaScriptBackEnd, SharedJavaScriptBackEnd } from "./options.ts";

/** What is checked, and whether it is the same in each run. */
export interface HardeningOptions {
  /** The features that are on; an empty list is the hardened core without any. Default: all. */
  features?: readonly HardeningFeature[] | undefined;
  /**
   * A whole number from 0 to 4294967295. The same seed gives the same keys and orders: for tests,
   * since keys can be guessed then. Default: random.
   */
  seed?: number | undefined;
}

const checks: OptionCheck[] = [
  { name: "features", refuse: featuresError },
  { name: "seed", refuse: seedError },
];

/**
 * Hardens a heap of one thread that runs on WebAssembly: a value for the option `hardening` of
 * createHeap. docs/guide/hardening.md describes the features.
 *
 * @throws TypeError or RangeError for unknown options and features, and seeds that are not 32 bits.
 * @example
 * const heap = createHeap({ hardening: hardening({ features: ["padding", "doubleFree"] }) });
 */
export function hardening(options: HardeningOptions = {}): Hardening {
  return { ...wasmBuild(coreHardWasm, hardened(options)), ...chosen(options) } as Hardening;
}

/**
 * Hardens a heap that threads share and that runs on WebAssembly: a value for the option
 * `hardening` of createSharedHeap. The threads that attach to it need nothing.
 *
 * @throws TypeError or RangeError as hardening() does.
 * @example
 * const heap = createSharedHeap({ hardening: sharedHardening() });
 */
export function sharedHardening(options: HardeningOptions = {}): SharedHardening {
  const build = sharedWasmBuild(coreSharedHardWasm, hardened(options));
  return { ...build, ...chosen(options) } as SharedHardening;
}

/**
 * The hardened JavaScript back end: a value for the option `backend` of createHeap.
 *
 * @throws TypeError or RangeError as hardening() does.
 * @example
 * const heap = createHeap({ backend: hardenedJavascript({ seed: 1 }) });
 */
export function hardenedJavascript(options: HardeningOptions = {}): JavaScriptBackEnd {
  return jsBuild(createCore, hardened(options));
}

/**
 * The hardened JavaScript back end for threads: a value for the option `backend` of
 * createSharedHeap, and, without options, of attachHeap in the threads that join its heap.
 *
 * @throws TypeError or RangeError as hardening() does.
 * @example
 * const heap = createSharedHeap({ backend: sharedHardenedJavascript() });
 * const mine = attachHeap(heap.handle(), { backend: sharedHardenedJavascript() });
 */
export function sharedHardenedJavascript(options: HardeningOptions = {}): SharedJavaScriptBackEnd {
  return sharedJsBuild(createSharedCore, hardened(options));
}

function chosen({ features, seed }: HardeningOptions) {
  return { features, seed };
}

function hardened(options: HardeningOptions) {
  optionsCheck(checks, options);
  const { features, seed } = options;
  const start = {
    bits: bitsOf(features ?? hardeningFeatures),
    seed,
    chosen: features !== undefined || seed !== undefined,
  };
  return { start, host: hardHost };
}

function featuresError(value: unknown): Error | undefined {
  if (!Array.isArray(value)) return wrongKind("features", "a list", value);
  const wrong = value.findIndex((name) => !hardeningFeatures.includes(name));
  if (wrong < 0) return undefined;
  const known = hardeningFeatures.join(", ");
  return new RangeError(`unknown hardening feature ${String(value[wrong])}; known: ${known}`);
}

function seedError(value: unknown): Error | undefined {
  if (typeof value !== "number") return wrongKind("seed", "a number", value);
  if (value >>> 0 === value) return undefined;
  return new RangeError(`seed must be a whole number from 0 to 4294967295, not ${value}`);
}
