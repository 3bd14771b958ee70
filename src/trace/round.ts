/** One timed round: the same trace, repeated on one subject. */

import type { Trace } from "./ops.ts";
import { CALLOC, FREE, MALLOC, REALLOC, RECORD_WORDS, THREAD } from "./ops.ts";
import type { Subject } from "./subject.ts";

/** How long passes do not count: the engine compiles, and memory is used for the first time. */
const WARM_MS = 120;
/** How long passes count; a trace that takes longer is played once. */
const ROUND_MS = 80;
/** The least time of a pass; a median below it is rounded up. */
const TICK_MS = 0.0005;

/** Decides how many passes a round has: as many as fill the times, at least one of each kind. */
export class Pace {
  readonly #times: number[] = [];
  readonly #warmTime: number;
  #total = 0;
  #warm = true;

  /** @param threads each thread compiles the code, and there may be fewer processors. */
  constructor(threads: number) {
    this.#warmTime = WARM_MS * threads;
  }

  /** Adds the time of a pass; returns whether it was the last. */
  passEnds(time: number): boolean {
    // A clock that is too coarse for a tiny trace must not make this endless.
    this.#total += Math.max(time, TICK_MS);
    if (!this.#warm) this.#times.push(time);
    if (this.#total < (this.#warm ? this.#warmTime : ROUND_MS)) return false;
    const over = !this.#warm;
    this.#warm = false;
    this.#total = 0;
    return over;
  }

  /**
   * Operations a second of the median pass. A pass is shorter than a time slice of the scheduler,
   * so other programs on the machine affect only some passes.
   */
  speed(operations: number): number {
    return (operations * 1000) / Math.max(median(this.#times), TICK_MS);
  }
}

/** Operations a second. Blocks that are live after a pass are freed outside the measured time. */
export function roundRun(trace: Trace, subject: Subject): number {
  const { records, facts } = trace;
  const table = new Uint32Array(facts.slots);
  const pace = new Pace(1);
  for (let over = false; !over; ) {
    const start = performance.now();
    recordsPlay(records, 0, records.length / RECORD_WORDS, table, subject);
    const time = performance.now() - start;
    tableClear(table, 0, 1, subject);
    over = pace.passEnds(time);
  }
  return pace.speed(facts.operations);
}

/**
 * Plays the records [from, to). Pointers of live blocks are left in the table, by slot; 0 is none.
 * Nothing is checked: the measuring pass has checked this trace on this subject.
 */
export function recordsPlay(
  records: Uint32Array,
  from: number,
  to: number,
  table: Uint32Array,
  subject: Subject,
): void {
  for (let at = from * RECORD_WORDS; at < to * RECORD_WORDS; at += RECORD_WORDS) {
    const kind = records[at];
    if (kind === THREAD) continue;
    const slot = records[at + 1] as number;
    const a = records[at + 2] as number;
    let size = a;
    let p = 0;
    if (kind === MALLOC) p = subject.malloc(a);
    else if (kind === FREE) subject.free(table[slot] as number);
    else if (kind === REALLOC) p = subject.realloc(table[slot] as number, a);
    else {
      const b = records[at + 3] as number;
      p = kind === CALLOC ? subject.calloc(a, b) : subject.memalign(a, b);
      size = kind === CALLOC ? a * b : b;
    }
    table[slot] = p;
    // The size of a free is 0, so it touches nothing.
    subject.touch(p >>> 0, size);
  }
}

/** Frees the block of every `stride`th slot from `first` on. */
export function tableClear(
  table: Uint32Array,
  first: number,
  stride: number,
  subject: Subject,
): void {
  for (let slot = first; slot < table.length; slot += stride) {
    const p = table[slot] as number;
    if (p !== 0) subject.free(p);
    table[slot] = 0;
  }
}

/** @param values at least one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] as number)) / 2;
}
