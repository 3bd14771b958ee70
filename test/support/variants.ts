/**
 * Every row of the checklist runs in four variants: both back ends, with the state at address 0 and
 * above 2 GiB, where signed arithmetic on addresses would show (row 110).
 */
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import { type Build, backEnds, builds, type CoreSubject, coreSubject } from "./core.js";

/** More than 2 GiB, and not the first slice of its chunk. */
export const HIGH_BASE = 0x80030000;

/** A fresh heap that can grow by `slices` more. */
export type MakeSubject = (slices?: number) => CoreSubject;

export function row(name: string, body: (make: MakeSubject) => void): void {
  rowIn(["single"], name, body);
}

/** As row, also with the build for threads, used by one thread. */
export function rowInBoth(name: string, body: (make: MakeSubject) => void): void {
  rowIn(builds, name, body);
}

function rowIn(builds: Build[], name: string, body: (make: MakeSubject) => void): void {
  for (const build of builds) {
    const state = build === "shared" ? L.SHARED_STATE_SLICES : 1;
    for (const backEnd of backEnds) {
      for (const base of [0, HIGH_BASE]) {
        const place = base === 0 ? backEnd : `${backEnd} above 2 GiB`;
        test(`${place}${build === "shared" ? ", shared" : ""}: row ${name}`, () => {
          body((slices = 4096) => coreSubject(backEnd, slices + state, base, build));
        });
      }
    }
  }
}
