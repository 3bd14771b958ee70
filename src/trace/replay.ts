/** Replays traces on allocators: first a pass that measures and checks, then timed rounds. */
import type { Allocator } from "./allocators.ts";
import type { Measure } from "./measure.ts";
import type { Trace } from "./ops.ts";
import { measureStart, roundStart } from "./pass.ts";
import { median } from "./round.ts";

/** The result of one trace on one allocator. */
export interface ReplayResult {
  /** The file of the trace, as it was named. */
  readonly trace: string;
  /** The name of the allocator. */
  readonly allocator: string;
  /** Operations of the trace. */
  readonly operations: number;
  /** Operations a second: the median of the rounds. */
  readonly opsPerSecond: number;
  /** Bytes that were ever part of a block or of the allocator's state; see `Measure`. */
  readonly peakBytes: number;
  /** Peak of the requested bytes of live blocks. */
  readonly peakLiveBytes: number;
  /** peakBytes / peakLiveBytes. */
  readonly fragmentation: number;
  /** How many threads the trace has, if each had a Worker of its own. */
  readonly threads?: number;
}

/** Options of a replay. */
export interface ReplayOptions {
  /** Timed rounds for each allocator. */
  readonly rounds: number;
  /** Plays each thread of the trace in a Worker of its own, all at once. */
  readonly threads?: boolean;
  /** Called after each pass; `replaySteps` tells how often. */
  readonly onStep?: () => void;
}

/** How many passes `runReplay` makes. */
export function replaySteps(allocators: number, rounds: number): number {
  return allocators * (rounds + 1);
}

/**
 * Replays a trace. Without `threads` one thread plays all operations, in the order of the trace;
 * with it each thread plays its own, and only operations on the same block keep their order.
 *
 * Rounds alternate between the allocators, so that a slow phase of the machine affects all of them.
 * @param allocators of the table in allocators.ts: passes find them by name.
 * @throws ReplayError if an allocator fails, is not installed, or cannot be shared by threads.
 */
export async function runReplay(
  trace: Trace,
  allocators: readonly Allocator[],
  options: ReplayOptions,
): Promise<ReplayResult[]> {
  const { threads = false } = options;
  const runs = allocators.map(({ name }) => ({ allocator: name, speeds: [] as number[] }));
  const measures: Measure[] = [];
  for (const { allocator } of runs) {
    measures.push(await measureStart({ trace, allocator, threads }));
    options.onStep?.();
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const { allocator, speeds } of runs) {
      speeds.push(await roundStart({ trace, allocator, threads }));
      options.onStep?.();
    }
  }
  return runs.map(({ allocator, speeds }, index) =>
    resultCreate(trace, allocator, speeds, measures[index] as Measure),
  );
}

function resultCreate(
  trace: Trace,
  allocator: string,
  speeds: readonly number[],
  { peakBytes, peakLiveBytes, threads }: Measure,
): ReplayResult {
  const opsPerSecond = Math.round(median(speeds));
  const { file, facts } = trace;
  return {
    trace: file,
    allocator,
    operations: facts.operations,
    opsPerSecond,
    peakBytes,
    peakLiveBytes,
    // A trace of empty blocks has no ratio, and JSON has no infinity.
    fragmentation: peakLiveBytes === 0 ? 1 : peakBytes / peakLiveBytes,
    ...(threads === undefined ? {} : { threads }),
  };
}
