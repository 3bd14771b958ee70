/** When and how free memory is given back: the settings of src/core/slices/purge.ts, typed. */

import { wrongKind } from "../common/errors.ts";
import type { CoreExports } from "../core/contract.ts";
import {
  PAGES_DECOMMIT,
  PAGES_RESET,
  PAGES_ZERO,
  S_PURGE_DELAY,
  S_PURGE_EXTEND,
  S_PURGE_HOW,
  S_PURGE_MULT,
} from "../core/layout/layout.ts";
import type { MemorySource } from "../memory/index.ts";

/**
 * Delays are in ticks: 4 096 passes of malloc's generic path, or a call of `heap.purge()`. All
 * threads of a memory have the same settings.
 */
export interface PurgeSettings {
  /** Ticks from a free to the purge; 0 = at once, -1 = never. */
  purgeDelay: number;
  /** Ticks by which another free nearby puts the purge off, at most to twice the delay. */
  purgeExtendDelay: number;
  /** By how much longer the memory of an arena waits. */
  arenaPurgeMult: number;
  /** Whether a purge decommits; else it only tells the system that the contents do not matter. */
  purgeDecommits: boolean;
  /** Whether a memory that cannot give pages back is filled with zeros, so that calloc need not. */
  purgeZeroes: boolean;
}

export const purgeDefaults: PurgeSettings = {
  purgeDelay: 10,
  purgeExtendDelay: 1,
  arenaPurgeMult: 10,
  purgeDecommits: true,
  purgeZeroes: false,
};

/** The names of settings and the most that the numbers may be: twice a delay stays a tick. */
export const purgeLimits = { purgeDelay: 1e6, purgeExtendDelay: 1e6, arenaPurgeMult: 1000 };

/** What is wrong with a setting, or undefined. */
export function purgeError(name: keyof PurgeSettings, value: unknown): Error | undefined {
  const limit = (purgeLimits as Record<string, number>)[name];
  const kind = limit === undefined ? "boolean" : "number";
  if (typeof value !== kind) return wrongKind(name, `a ${kind}`, value);
  if (limit === undefined) return undefined;
  const least = name === "purgeDelay" ? -1 : 0;
  const good = Number.isInteger(value) && (value as number) >= least && (value as number) <= limit;
  if (good) return undefined;
  return new RangeError(`${name} must be a whole number from ${least} to ${limit}, not ${value}`);
}

/** Throws for the first setting that is unknown or wrong; undefined counts as absent. */
export function purgeCheck(settings: Partial<PurgeSettings>): void {
  if (typeof settings !== "object" || settings === null) {
    throw new TypeError("purgeSettings needs an object");
  }
  for (const [name, value] of Object.entries(settings)) {
    if (!(name in purgeDefaults)) throw new TypeError(`unknown setting ${name}`);
    const error = value === undefined ? undefined : purgeError(name as keyof PurgeSettings, value);
    if (error) throw error;
  }
}

/** Those of some options that are settings, over those that are there. */
export function purgeMerge(
  settings: PurgeSettings,
  some: Partial<Record<keyof PurgeSettings, unknown>>,
): PurgeSettings {
  const known = Object.entries(some).filter(([name, value]) => {
    return name in purgeDefaults && value !== undefined;
  });
  return { ...settings, ...Object.fromEntries(known) };
}

/** Gives the core its settings. Where nothing can be purged, it is never tried. */
export function purgeApply(core: CoreExports, source: MemorySource, settings: PurgeSettings): void {
  const { purgeDelay, purgeExtendDelay, arenaPurgeMult } = settings;
  const how = purgeHow(source, settings);
  const delay = how === undefined ? -1 : purgeDelay;
  core.purgeSet(delay >>> 0, purgeExtendDelay, arenaPurgeMult, how ?? PAGES_DECOMMIT);
}

function purgeHow(source: MemorySource, settings: PurgeSettings): number | undefined {
  if (source.pages && source.capabilities.canRelease) {
    return settings.purgeDecommits ? PAGES_DECOMMIT : PAGES_RESET;
  }
  return settings.purgeZeroes ? PAGES_ZERO : undefined;
}

/** The settings as the memory has them. */
export function purgeRead(words: Uint32Array, state: number): PurgeSettings {
  const word = (offset: number) => words[(state + offset) >>> 2] as number;
  return {
    purgeDelay: word(S_PURGE_DELAY) - 1,
    purgeExtendDelay: word(S_PURGE_EXTEND),
    arenaPurgeMult: word(S_PURGE_MULT),
    purgeDecommits: word(S_PURGE_HOW) !== PAGES_RESET,
    purgeZeroes: word(S_PURGE_HOW) === PAGES_ZERO,
  };
}
