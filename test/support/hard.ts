/** For tests of hardened cores: features by name, and a row in all variants. */
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import { backEnds, builds, type CoreSubject, coreSubject, type HardSetting } from "./core.js";
import { HIGH_BASE } from "./variants.js";

export const FEATURES = {
  encode: L.HARD_ENCODE,
  shuffle: L.HARD_SHUFFLE,
  padding: L.HARD_PADDING,
  canary: L.HARD_CANARY,
  doubleFree: L.HARD_DOUBLE_FREE,
  fill: L.HARD_FILL,
  checkedFree: L.HARD_CHECKED_FREE,
  guardPages: L.HARD_GUARD_PAGES,
};
export const ALL = Object.values(FEATURES).reduce((sum, bit) => sum | bit, 0);
export const SECURE = L.HARD_PADDING | L.HARD_CANARY | L.HARD_ENCODE | L.HARD_DOUBLE_FREE;

/** Bits and a name of: each feature alone, all without each feature, all, none. */
export const hardProfiles: [name: string, bits: number][] = [
  ["no feature", 0],
  ...Object.entries(FEATURES),
  ["padding and canary", L.HARD_PADDING | L.HARD_CANARY],
  ["encode and doubleFree", L.HARD_ENCODE | L.HARD_DOUBLE_FREE],
  ["secure", SECURE],
  ...Object.entries(FEATURES).map(
    ([name, bit]) => [`all but ${name}`, ALL & ~bit] as [string, number],
  ),
  ["all", ALL],
];

/** A test in both back ends and builds with these features; for one thread also above 2 GiB. */
export function hardRow(
  name: string,
  setting: HardSetting,
  body: (s: CoreSubject, make: (other?: Partial<HardSetting>) => CoreSubject) => void,
): void {
  for (const build of builds) {
    for (const backEnd of backEnds) {
      for (const base of build === "single" ? [0, HIGH_BASE] : [0]) {
        const place = `${backEnd}, ${build}${base === 0 ? "" : ", above 2 GiB"}`;
        const make = (other: Partial<HardSetting> = {}) =>
          coreSubject(backEnd, 4096, base, build, { ...setting, ...other });
        test(`${place}: row ${name}`, () => body(make(), make));
      }
    }
  }
}
