/**
 * Virtual threads under a scheduler: what an explorer and its Workers agree on. Each thread runs a
 * stepped JavaScript build in a Worker of its own. Only the one whose turn it is runs, and it
 * passes its turn on only where the plan says so, at an access to the memory, or where it waits for
 * a lock. So a program and a plan give the same run every time.
 */

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
/** 1: a body has thrown; its message is in the port. */
export const FAILED = 10;
/** Of a random plan: its state, and one in how many steps passes the turn on; 0 = a listed plan. */
export const SEED = 11;
export const ONE_IN = 12;
/** Bit of each thread that has died. */
export const DEAD = 13;
/** Words that have been found to be in conflict; see inConflict. */
export const CONFLICTS = 14;
/** What a thread does that finds a lock held: WAITS, HURRIES, or either by chance. */
export const HASTE = 15;
/** 1: a thread that waits has given up, though nobody has died. */
export const STARVED = 16;
/** A word and one: two threads came to it and nothing says who was first; see races.ts. */
export const RACE = 17;
/** From here on for each thread: before which of its steps it dies, plain stores too, or NOBODY. */
export const DEATH = 18;
/** Pairs of step and next thread, ended by a step of -1. */
export const PLAN = 24;
export const PLAN_WORDS = 64;
/** Which thread made each step; with MATTERS, at a word that is in conflict. */
export const HISTORY = PLAN + PLAN_WORDS;
export const HISTORY_MAX = 16384;
export const CONTROL_WORDS = HISTORY + HISTORY_MAX;

export const NOBODY = -1;
export const MATTERS = 8;

export const WAITS = 0;
export const HURRIES = 1;
export const EITHER = 2;

/**
 * Which threads read (low bits) and wrote (from bit 3) a word in all runs of a program so far. A
 * step at a word that no two threads touch, or none writes, could as well come later: the explorer
 * preempts nobody there. It begins anew when a run finds more such words.
 */
export function inConflict(access: number): boolean {
  const writers = (access >>> 3) & 7;
  const who = (access & 7) | writers;
  return writers !== 0 && (who & (who - 1)) !== 0;
}

/** Beside the bits above: a plain access to the word is a step too. */
export const RACY = 64;

/** Accesses to the memory that a thread may make in a run: whoever makes more turns for ever. */
export const ACCESSES_MAX = 200000;

/**
 * What a command asks a role to do: `sequence << 11 | threads << 8 | phase << 4 | role`; the role 15
 * is all threads.
 */
export const BEGIN = 1;
export const RUN = 2;
export const END = 3;
export const ALL = 15;
/** The command that ends the Workers. */
export const QUIT = -1;

/** What a thread does: alone before all, under the scheduler, alone after all. */
export interface RoleOf<Thread> {
  begin?: (thread: Thread) => void;
  run: (thread: Thread) => void;
  /** Blocks that are left are freed behind it. */
  end?: (thread: Thread) => void;
}

export interface ProgramOf<Thread> {
  name: string;
  roles: RoleOf<Thread>[];
  /** Runs alone, after all, in a thread of its own. Throws when the outcome is wrong. */
  check?: (thread: Thread) => void;
}
