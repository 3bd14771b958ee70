/** The workloads by name, and how many operations one run of each takes: 10 to 100 ms. */
import { traceNames } from "./traces.ts";

export const SEED = 0x2545f491;

/** Words in each of the two tables a workload gets; workloads/workload.h has the same number. */
export const TABLE_WORDS = 1 << 20;

const OPERATIONS = {
  lifo_fixed: 3_000_000,
  lifo_mixed: 2_000_000,
  stack_walk: 1_000_000,
  cfrac: 3_000_000,
  replace_1000: 200_000,
  larson: 1_000_000,
  alloc_test: 1_000_000,
  sh6: 1_200_000,
  sh8: 1_200_000,
  batch_fifo: 1_000_000,
  batch_random: 1_000_000,
  realloc_growth: 200_000,
  large: 50_000,
};

export type SyntheticName = keyof typeof OPERATIONS;

const TRACE_PREFIX = "trace:";

export function isSynthetic(name: string): name is SyntheticName {
  return Object.hasOwn(OPERATIONS, name);
}

export function operationsOf(name: SyntheticName): number {
  return OPERATIONS[name];
}

/** The trace that a workload such as `trace:sqlite` replays. */
export function traceOf(workload: string): string {
  return workload.slice(TRACE_PREFIX.length);
}

export function workloadNames(): string[] {
  return [...Object.keys(OPERATIONS), ...traceNames().map((name) => TRACE_PREFIX + name)];
}
