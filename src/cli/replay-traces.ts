/** What `terrane replay` does: replays traces on allocators, and prints the results. */

import type { Command } from "commander";
import {
  type Allocator,
  allocators,
  findSharedAllocator,
  findTraceAllocator,
} from "../trace/allocators.ts";
import type { Trace } from "../trace/ops.ts";
import { readTrace } from "../trace/reader.ts";
import { type ReplayOptions, type ReplayResult, replaySteps, runReplay } from "../trace/replay.ts";
import { orUsageError } from "./options.ts";
import { STDOUT, streamWrite } from "./output.ts";
import { progressStart } from "./replay-progress.ts";
import { colourIsWanted, formatTable } from "./replay-table.ts";

/** The options of the command. */
export interface ReplayFlags {
  readonly allocator?: string[];
  readonly rounds: number;
  readonly threads?: true;
  readonly json?: true;
  readonly list?: true;
}

/** Replays traces and prints the results, or prints the allocators. */
export async function replayAction(
  files: readonly string[],
  flags: ReplayFlags,
  command: Command,
): Promise<void> {
  if (flags.list) return listPrint();
  // First, since `--allocator NAME FILE` takes the file for a name.
  const chosen = allocatorsChoose(flags, command);
  if (files.length === 0) command.error("error: no trace given (see terrane replay --help)");
  const traces = await tracesRead(files);
  const results = await replayTraces(traces, chosen, flags);
  const text = flags.json
    ? `${JSON.stringify(results, null, 2)}\n`
    : formatTable(results, colourIsWanted());
  streamWrite(STDOUT, text);
}

function listPrint(): void {
  const lines = allocators.map(({ name, describe, onRequest }) => {
    return `${name.padEnd(18)}${describe}${onRequest ? " (on request)" : ""}\n`;
  });
  streamWrite(STDOUT, lines.join(""));
}

function allocatorsChoose(
  { allocator: names, threads }: Pick<ReplayFlags, "allocator" | "threads">,
  command: Command,
): readonly Allocator[] {
  if (names === undefined) {
    return allocators.filter(({ onRequest, share }) => !onRequest && (!threads || share));
  }
  const wanted = new Set(names.flatMap((name) => name.split(",")).filter((name) => name !== ""));
  const find = threads ? findSharedAllocator : findTraceAllocator;
  return orUsageError(command, () => [...wanted].map(find));
}

/** Reads all traces before the first replay, so that a damaged one is reported at once. */
async function tracesRead(files: readonly string[]): Promise<Trace[]> {
  const traces: Trace[] = [];
  for (const file of new Set(files)) traces.push(await readTrace(file));
  return traces;
}

/** Replays all traces on all allocators, with a progress bar on a terminal. */
export async function replayTraces(
  traces: readonly Trace[],
  allocators: readonly Allocator[],
  options: Omit<ReplayOptions, "onStep">,
): Promise<ReplayResult[]> {
  const steps = traces.length * replaySteps(allocators.length, options.rounds);
  const progress = progressStart(steps);
  const results: ReplayResult[] = [];
  try {
    for (const trace of traces) {
      results.push(...(await runReplay(trace, allocators, { ...options, onStep: progress.step })));
    }
  } finally {
    progress.stop();
  }
  return results;
}
