/** What the core's explorer and its Workers agree on, beside the schedule. */
import type { HardCoreExports, SharedCoreExports } from "#src/core/contract.js";
import type { HardHost } from "#src/core/target/glue-hard.js";
import type { ProgramOf } from "./schedule.js";

export * from "./schedule.js";

/** The check build that asks before each step. */
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

const createPlain = await built("core-stepped.js");
const createHard = await built("core-stepped-hard.js");

/** The plain core, or the hardened one. */
export function createStepped(hard: boolean, host: SteppedHost): SteppedCore {
  return hard ? createHard(host) : createPlain(host);
}

/** What a hardened core asks for: random words that are the same in each run. */
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

/** Where a program's state begins, so that null is no block. */
export const BASE = 65536;

/** The cells that the threads of a program share. */
export const CELLS = 512;
/** A thread's blocks stand in the cells from its number times CELLS_EACH on. */
export const CELLS_EACH = 64;
/** How many slices the memory has: what grow() adds to. */
export const CELL_SLICES = 510;
/** Tickets of the threads. */
export const CELL_THREADS = 496;
/** Reports of hardened cores. */
export const CELL_REPORTS = 494;
/** For a program's own use. */
export const CELL_FREE = 448;

/** What a thread's body works with. */
export interface Thread {
  readonly number: number;
  readonly core: SteppedCore;
  readonly words: Uint32Array;
  readonly cells: Int32Array;
  /** Whether the core is a hardened one, with records. */
  readonly hard: boolean;
  /** Bit of each thread that has died. */
  dead(): number;
}

export interface Program extends ProgramOf<Thread> {
  /** Slices of the memory, behind the first; those from `maximum` on are refused. */
  slices?: number;
  maximum?: number;
  /** Plain stores are steps too. */
  stores?: boolean;
  /** Slices that a death may leave in use: a page, or a large block that was just made. */
  leak?: number;
  /** Slices that its own mistake leaves in use. */
  lost?: number;
  /** Its ends count on what a death may lose: nobody dies in it. */
  immortal?: boolean;
  /** Reports of a hardened core that there must be; else none. */
  reports?: number;
}
