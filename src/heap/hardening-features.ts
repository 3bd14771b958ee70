/** What every heap has of hardening: the features by name. */

import * as L from "../core/layout/layout.ts";

const bits = {
  encode: L.HARD_ENCODE,
  shuffle: L.HARD_SHUFFLE,
  padding: L.HARD_PADDING,
  canary: L.HARD_CANARY,
  doubleFree: L.HARD_DOUBLE_FREE,
  fill: L.HARD_FILL,
  checkedFree: L.HARD_CHECKED_FREE,
  guardPages: L.HARD_GUARD_PAGES,
};

/** The name of a feature of the hardened heap: docs/guide/hardening.md describes each. */
export type HardeningFeature = keyof typeof bits;

/** Every feature, in the order of its bit. */
export const hardeningFeatures = Object.keys(bits) as HardeningFeature[];

/** What `hardening()` of terrane/hardening returns: a value for the option of createHeap. */
export interface Hardening {
  /** The features that are on; undefined: all. */
  readonly features: readonly HardeningFeature[] | undefined;
  /** The same seed gives the same keys and orders; undefined: they are random. */
  readonly seed: number | undefined;
  /** Its build of the core is WebAssembly. */
  readonly kind: "wasm";
  /** Its build of the core is for one thread. */
  readonly shared: false;
}

/** What `sharedHardening()` of terrane/hardening returns: for the option of createSharedHeap. */
export interface SharedHardening extends Omit<Hardening, "shared"> {
  /** Its build of the core is for threads. */
  readonly shared: true;
}

/** What a hardened core starts with. */
export interface HardenedStart {
  /** Bits HARD_* of layout.ts; undefined in a thread that joins: they stand in the memory. */
  readonly bits?: number;
  readonly seed?: number | undefined;
  /** Whether the user has chosen features or a seed. */
  readonly chosen?: boolean;
}

/** The features that a heap has, and how good its keys are. */
export interface HardeningState {
  /** The features that are on, in the order of hardeningFeatures. */
  readonly features: readonly HardeningFeature[];
  /** Neither the host nor a seed gave random words: the keys can be guessed. */
  readonly weak: boolean;
}

/** The word of the core that these make. */
export function bitsOf(features: readonly HardeningFeature[]): number {
  return features.reduce((sum, name) => sum | bits[name], 0);
}

export function featuresOf(word: number): HardeningFeature[] {
  return hardeningFeatures.filter((name) => (word & bits[name]) !== 0);
}
