/** What the core's explorer and its Workers share, beside the schedule. */
import type { HardCoreExports, SharedCoreExports } from "#src/core/contract.js";
import type { HardHost } from "#src/core/target/glue-hard.js";
import type { ProgramOf } from "./schedule.js";

export * from "./schedule.js";

/** The stepped check build, which calls the host before each step. */
export interface SteppedCore extends SharedCoreExports, HardCoreExports {
  heapIsValid(): boolean;
  stateIsValid(): boolean;
  slicesAlloc(count: number, alignment: number): number;
  purgeTick(): void;
  committedIsValid(): boolean;
  slicesFree(owner: number, slice: number, count: number): void;
  slicesFreeCount(): number;
  lostCollect(): number;
}

export interface SteppedHost extends HardHost {
  step(index: number, load: boolean): void;
  stepStore(): void;
  stepLoad(): void;
  readonly torn: boolean;
  readonly slices: number;
}

type CreateStepped = (host: SteppedHost) => SteppedCore;

async function built(name: string): Promise<CreateStepped> {
  return (await import(new URL(`../../check/${name}`, import.meta.url).href)).createCore;
}

const createUnhardened = await built("core-stepped.js");
const createHard = await built("core-stepped-hard.js");

/** The stepped core, unhardened or hardened. */
export function createStepped(hard: boolean, host: SteppedHost): SteppedCore {
  return hard ? createHard(host) : createUnhardened(host);
}

/** The imports of a hardened core: random words that are the same in each run. */
export function hardHost(words: Uint32Array, report: () => void) {
  return {
    random: (at: number, count: number) => {
      for (let i = 0; i < count; i++) words[(at >>> 2) + i] = Math.imul(at + i, 0x9e3779b1);
      return true;
    },
    report,
    protect: () => {},
  };
}

/** Address of a program's state, not 0, so that null is not a block. */
export const BASE = 65536;

/** The cells that the threads of a program share. */
export const CELLS = 512;
/** The cells of a thread begin at its number times CELLS_EACH and hold its blocks. */
export const CELLS_EACH = 64;
/** Number of slices of the memory, which grow() increases. */
export const CELL_SLICES = 510;
/** Ids of the threads. */
export const CELL_THREADS = 496;
/** Reports of hardened cores. */
export const CELL_REPORTS = 494;
/** For a program's own use. */
export const CELL_FREE = 448;

/** What the body of a thread uses. */
export interface Thread {
  readonly number: number;
  readonly core: SteppedCore;
  readonly words: Uint32Array;
  readonly cells: Int32Array;
  /** Whether the core is hardened, with records. */
  readonly hard: boolean;
  /** The threads that have died, one bit each. */
  dead(): number;
}

export interface Program extends ProgramOf<Thread> {
  /** Slices of the memory behind the first; growth from `maximum` on is refused. */
  slices?: number;
  maximum?: number;
  /** Plain stores are steps too. */
  stores?: boolean;
  /** Slices that a death may leave in use: a page, or a large block that was just made. */
  leak?: number;
  /** Slices that the program's own mistake leaves in use. */
  lost?: number;
  /** Its ends rely on what a death may lose, so no thread dies in it. */
  immortal?: boolean;
  /** Number of reports that a hardened core must make. Default: none. */
  reports?: number;
}
