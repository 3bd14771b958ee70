/** All programs, over reserved regions and over regions on demand. */
import * as death from "./step-deaths.js";
import { demandDeaths, demanded, demandPrograms } from "./step-demand.js";
import * as life from "./step-programs.js";
import { stuckPrograms } from "./step-stuck.js";
import type { Program } from "./steps.js";

/** Programs that do more over regions on demand, and run there too. */
const again = [
  "two threads make the first chunks of a class",
  "row 120: caches refill and drain against each other",
  "threads free blocks of other threads",
  "a release of pages in which others have chunks",
  "two releases of a class, and a change of the interval",
  "a release while chunks are on the late list",
  "threads without the lock leave chunks to its holder",
  "two threads recover a dead one",
  "death: malloc and free of chunks",
  "death: the first chunks of a class, shuffled, with metadata",
  "death: a release",
  "death: a thread takes late chunks of others",
  "death: a thread recovers another",
];

const both = (programs: readonly Program[]) =>
  programs.filter(({ name }) => again.includes(name)).map(demanded);

/** Over reserved regions, and over regions on demand. */
export const programs = {
  reserved: life.programs,
  "on demand": [...demandPrograms, ...both(life.programs)],
};
export const deaths = {
  reserved: death.deaths,
  "on demand": [...demandDeaths, ...both(death.deaths)],
};
export const allPrograms: readonly Program[] = [
  ...[programs, deaths].flatMap((kinds) => Object.values(kinds).flat()),
  ...stuckPrograms,
];
