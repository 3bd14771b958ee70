/**
 * Every row of the checklist runs in four places: both back ends, with the state at address 0 and
 * above 2 GiB, which is where signed arithmetic on addresses shows (row 110).
 */
import { test } from "node:test";
import { backEnds, type CoreSubject, coreSubject } from "./core.js";

/** More than 2 GiB, and not the first slice of its chunk. */
export const HIGH_BASE = 0x80030000;

/** A fresh heap that can grow by `slices` more. */
export type MakeSubject = (slices?: number) => CoreSubject;

export function row(name: string, body: (make: MakeSubject) => void): void {
  for (const backEnd of backEnds) {
    for (const base of [0, HIGH_BASE]) {
      const place = base === 0 ? backEnd : `${backEnd} above 2 GiB`;
      test(`${place}: row ${name}`, () => {
        body((slices = 4096) => coreSubject(backEnd, slices + 1, base));
      });
    }
  }
}
