/**
 * Virtual threads under a scheduler: the protocol between an explorer and its Workers. Each thread
 * runs a stepped JavaScript build in a Worker of its own. Only one Worker runs at a time. It lets
 * another one run only where the plan says so, at an access to the memory, or where it waits for a
 * lock. So a program and a plan give the same run every time.
 */

/** Words of the control block. */
export const TURN = 0;
/** Steps of the run so far. */
export const STEPS = 1;
/** The threads that have ended, one bit each. */
export const DONE = 2;
export const THREADS = 3;
export const COMMAND = 4;
export const REPLIES = 5;
export const PROGRAM = 6;
/** 1: compare-and-swap is deliberately broken. */
export const TORN = 7;
/** 1: a body has thrown; its message is in the port. */
export const FAILED = 10;
/** Of a random plan: its state, and one in how many steps preempts; 0 = a listed plan. */
export const SEED = 11;
export const ONE_IN = 12;
/** The threads that have died, one bit each. */
export const DEAD = 13;
/** Words that have been found to be in conflict; see inConflict. */
export const CONFLICTS = 14;
/** What a thread does when it finds a lock held: WAITS, HURRIES, or either at random. */
export const HASTE = 15;
/** 1: a waiting thread has given up, though no thread has died. */
export const STARVED = 16;
/** A word plus 1: two threads accessed it without an order; see races.ts. */
export const RACE = 17;
/**
 * For each thread, from here on: before which of its steps, plain stores included, it dies, or
 * NO_THREAD.
 */
export const DEATH = 18;
/** Pairs of step and next thread, ended by a step of -1. */
export const PLAN = 24;
export const PLAN_WORDS = 64;
/** The thread of each step; with MATTERS if the word is in conflict. */
export const HISTORY = PLAN + PLAN_WORDS;
export const HISTORY_MAX = 16384;
export const CONTROL_WORDS = HISTORY + HISTORY_MAX;

export const NO_THREAD = -1;
export const MATTERS = 8;

export const WAITS = 0;
export const HURRIES = 1;
export const EITHER = 2;

/**
 * Which threads read (low bits) and wrote (from bit 3 on) a word in all runs of a program so far. If
 * no two threads access a word, or none writes it, a step at it could come later as well: the
 * explorer does not preempt there. The exploration begins again when a run finds more such words.
 */
export function inConflict(access: number): boolean {
  const writers = (access >>> 3) & 7;
  const threads = (access & 7) | writers;
  return writers !== 0 && (threads & (threads - 1)) !== 0;
}

/** In addition to the bits above: a plain access to the word is a step too. */
export const RACY = 64;

/**
 * Accesses to the memory that a thread may make in a run. A thread that makes more is in an endless
 * loop.
 */
export const ACCESSES_MAX = 200000;

/**
 * The command for a role: `sequence << 11 | threads << 8 | phase << 4 | role`; the role 15 is all
 * threads.
 */
export const BEGIN = 1;
export const RUN = 2;
export const END = 3;
export const ALL = 15;
/** The command that ends the Workers. */
export const QUIT = -1;

/** What a thread does: alone before the others, under the scheduler, alone after the others. */
export interface RoleOf<Thread> {
  begin?: (thread: Thread) => void;
  run: (thread: Thread) => void;
  /** Blocks that are left are freed after it. */
  end?: (thread: Thread) => void;
}

export interface ProgramOf<Thread> {
  name: string;
  roles: RoleOf<Thread>[];
  /** Runs alone after all others, in a thread of its own. Throws when the outcome is wrong. */
  check?: (thread: Thread) => void;
}
