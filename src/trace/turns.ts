/** How the threads of a replay wait for each other. */

import { RECORD_WORDS } from "./ops.ts";
import type { Part } from "./plan.ts";
import { AWAIT, STEP_WORDS } from "./plan.ts";

const ARRIVED = 0;
const GENERATION = 1;
/** i32 words of a barrier. */
export const BARRIER_WORDS = 2;

/** Returns once `threads` have called it. */
export function barrierWait(words: Int32Array, threads: number): void {
  const generation = Atomics.load(words, GENERATION);
  if (Atomics.add(words, ARRIVED, 1) + 1 === threads) {
    Atomics.store(words, ARRIVED, 0);
    Atomics.add(words, GENERATION, 1);
    Atomics.notify(words, GENERATION);
    return;
  }
  while (Atomics.load(words, GENERATION) === generation) {
    Atomics.wait(words, GENERATION, generation);
  }
}

/**
 * Plays the records of a part in their order, with its steps in between.
 * @param turns by slot: how many operations on the block are done; zeros at first.
 * @param play plays the records [from, to).
 */
export function partPlay(
  { records, steps }: Part,
  turns: Int32Array,
  play: (records: Uint32Array, from: number, to: number) => void,
): void {
  let done = 0;
  for (let at = 0; at < steps.length; at += STEP_WORDS) {
    const to = steps[at] as number;
    play(records, done, to);
    done = to;
    stepTake(turns, steps, at);
  }
  play(records, done, records.length / RECORD_WORDS);
}

function stepTake(turns: Int32Array, steps: Uint32Array, at: number): void {
  const slot = steps[at + 2] as number;
  const count = steps[at + 3] as number;
  if (steps[at + 1] === AWAIT) turnAwait(turns, slot, count);
  else {
    Atomics.store(turns, slot, count);
    Atomics.notify(turns, slot);
  }
}

function turnAwait(turns: Int32Array, slot: number, count: number): void {
  let now = Atomics.load(turns, slot);
  while (now < count) {
    Atomics.wait(turns, slot, now);
    now = Atomics.load(turns, slot);
  }
}
