/**
 * Virtual threads under a scheduler: what the explorer and its Workers agree on. Each thread runs
 * the stepped JavaScript core in a Worker of its own. Only the one whose turn it is runs, and it
 * passes its turn on only where the plan says so, at an atomic access. So a program and a plan give
 * the same run every time.
 */
import type { HardCoreExports, SharedCoreExports } from "#dist/core/contract.js";
import type { HardHost } from "#dist/core/glue-hard.js";

/** Words of the control block. */
export const TURN = 0;
/** Steps of the run so far. */
export const STEPS = 1;
/** Bit of each thread that has ended. */
export const DONE = 2;
export const THREADS = 3;
export const COMMAND = 4;
export const ANSWERS = 5;
export const PROGRAM = 6;
/** 1: compare-and-swap is broken on purpose. */
export const TORN = 7;
/** The thread that dies, or NOBODY, and before which of its steps; its plain stores are steps. */
export const VICTIM = 8;
export const DEATH = 9;
/** 1: a body has thrown; its message is in the port. */
export const FAILED = 10;
/** Of a random plan: its state, and one in how many steps passes the turn on; 0 = a listed plan. */
export const SEED = 11;
export const ONE_IN = 12;
/** 1: the victim has died. */
export const DEAD = 13;
/** Words that have been found to be in conflict; see CONFLICT. */
export const CONFLICTS = 14;
/** Pairs of step and next thread, ended by a step of -1. */
export const PLAN = 16;
export const PLAN_WORDS = 64;
/** Which thread made each step; with MATTERS, at a word that is in conflict. */
export const HISTORY = PLAN + PLAN_WORDS;
export const HISTORY_MAX = 16384;
export const CONTROL_WORDS = HISTORY + HISTORY_MAX;

export const NOBODY = -1;
export const MATTERS = 8;

/**
 * Which threads read (low bits) and wrote (from bit 3) a word in all runs of a program so far. A
 * step at a word that no two threads touch, or none writes, could as well come later: the explorer
 * preempts nobody there. It begins anew when a run finds more such words.
 */
export function inConflict(access: number): boolean {
  const who = (access | (access >>> 3)) & 7;
  return access >>> 3 !== 0 && (who & (who - 1)) !== 0;
}

/** What a command asks a role to do; the role stands in the low four bits, 15 = all. */
export const BEGIN = 1;
export const RUN = 2;
export const END = 3;
export const ALL = 15;
/** The command that ends the Workers. */
export const QUIT = -1;

/** The check build that asks before each step. */
export interface SteppedCore extends SharedCoreExports, HardCoreExports {
  heapIsValid(): boolean;
  arenaIsValid(): boolean;
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

/** Where a program's arena begins, so that null is no block. */
export const BASE = 65536;

/** The cells that the threads of a program share. */
export const CELLS = 512;
/** A thread's blocks stand in the cells from its number times CELLS_EACH on. */
export const CELLS_EACH = 64;
/** How many slices the memory has: what grow() adds to. */
export const CELL_SLICES = 510;
/** Tickets of the threads. */
export const CELL_TICKETS = 496;
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
}

export type Body = (thread: Thread) => void;

export interface Role {
  /** Alone, before all. */
  begin?: Body;
  /** With the others, under the scheduler. */
  run: Body;
  /** Alone, after all; blocks that are left are freed then. */
  end?: Body;
}

export interface Program {
  name: string;
  /** Slices of the memory, behind the first; those from `maximum` on are refused. */
  slices?: number;
  maximum?: number;
  roles: Role[];
  /** Plain stores are steps too. */
  stores?: boolean;
  /** Slices that a death may leave in use: a page, or a large block that was just made. */
  leak?: number;
  /** Reports of a hardened core that there must be; else none. */
  reports?: number;
  /** Runs alone, after all, in a thread of its own. Throws when the outcome is wrong. */
  check?: Body;
}
