/** One timed round: the same trace over and over on one subject. */

import type { Trace } from "./ops.ts";
import { CALLOC, FREE, MALLOC, REALLOC, RECORD_WORDS, THREAD } from "./ops.ts";
import type { Subject } from "./subject.ts";

/** Passes that are not counted: the engine compiles, and memory is touched for the first time. */
const WARM_MS = 120;
/** Counted passes; a trace that takes longer is played once. */
const ROUND_MS = 80;
/** Least time that a pass counts for; a median below it is rounded up. */
const TICK_MS = 0.0005;

/**
 * Operations a second of the median pass: passes are short beside a slice of the scheduler, so
 * what else runs on the machine hits some of them and spares the rest.
 */
export function roundRun(trace: Trace, subject: Subject): number {
  const table = new Uint32Array(trace.facts.slots);
  passesRun(WARM_MS, trace.records, table, subject);
  const times = passesRun(ROUND_MS, trace.records, table, subject);
  return (trace.facts.operations * 1000) / Math.max(median(times), TICK_MS);
}

/**
 * Plays the trace until `enough` milliseconds are over, at least once; answers the time of each
 * pass. What a pass leaves live is freed off the clock.
 */
function passesRun(
  enough: number,
  records: Uint32Array,
  table: Uint32Array,
  subject: Subject,
): number[] {
  const times: number[] = [];
  for (let total = 0; total < enough; ) {
    const start = performance.now();
    recordsPlay(records, table, subject);
    const time = performance.now() - start;
    tableClear(table, subject);
    times.push(time);
    // A clock that is too coarse for a tiny trace must not keep us here.
    total += Math.max(time, TICK_MS);
  }
  return times;
}

/**
 * Plays all records once. Pointers of live blocks are left in the table, by slot; 0 = none.
 * Nothing is checked here: measureRun has seen that this subject serves this trace.
 */
function recordsPlay(records: Uint32Array, table: Uint32Array, subject: Subject): void {
  for (let at = 0; at < records.length; at += RECORD_WORDS) {
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

function tableClear(table: Uint32Array, subject: Subject): void {
  for (let slot = 0; slot < table.length; slot++) {
    const p = table[slot] as number;
    if (p !== 0) subject.free(p);
  }
  table.fill(0);
}

/** @param values at least one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] as number)) / 2;
}
