/** `terrane replay`. What is heavy is loaded when the command runs: `--help` must be quick. */

import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { Allocator } from "../trace/allocators.ts";
import type { Trace } from "../trace/ops.ts";
import type { ReplayOptions, ReplayResult } from "../trace/replay.ts";
import { progressStart } from "./replay-progress.ts";
import { colourIsWanted, formatTable } from "./replay-table.ts";

interface ReplayFlags {
  readonly allocator?: string[];
  readonly rounds: number;
  readonly threads?: true;
  readonly json?: true;
  readonly list?: true;
}

const ROUNDS = 5;
const ROUNDS_MAX = 1000;

const HELP = `
Examples:
  $ terrane replay bench/traces/perl.trace.gz
  $ terrane replay *.trace.gz --allocator terrane dlmalloc --rounds 9
  $ terrane replay --threads bench/traces/git-repack-3-threads.trace.gz
  $ terrane replay --json --allocator terrane -- big.trace > result.json
  $ terrane replay --list

A trace is text, plain or gzip, one operation a line:
  m ID SIZE            malloc            r OLD NEW SIZE   realloc (OLD 0: of no block)
  c ID COUNT SIZE      calloc            f ID             free
  a ID ALIGNMENT SIZE  aligned malloc    t N              thread N does what follows
IDs count up from 1. Threads are replayed on one thread, in the order of the trace. With --threads
each has a Worker of its own on one heap, and all run at once: only what is done with the same block
keeps its order, so peaks differ from run to run. For allocators that threads can share.

Without --allocator those run that are not on request in --list. The free of thi.ng looks through
all live blocks, which takes minutes where there are many.

Exit code: 0 done, 1 a trace or an allocator failed, 2 wrong use.`;

/** Adds the command to the program. Its failures are thrown; cli.ts tells them to the user. */
export function replayCommandAdd(program: Command): void {
  program
    .command("replay")
    .summary("replay allocation traces on several allocators")
    .description("Replay allocation traces and compare speed and memory of allocators.")
    .argument("[trace...]", "trace files")
    .option("-a, --allocator <name...>", "allocators, separated by spaces or commas")
    .option("-r, --rounds <n>", "timed rounds, of which the median counts", roundsParse, ROUNDS)
    .option("-t, --threads", "replay each thread of a trace in a Worker of its own")
    .option("--json", "print results as JSON and nothing else")
    .option("--list", "print the allocators and end")
    .addHelpText("after", HELP)
    .action(replayAction);
}

function roundsParse(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= ROUNDS_MAX) return rounds;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${ROUNDS_MAX}.`);
}

async function replayAction(files: string[], flags: ReplayFlags, command: Command): Promise<void> {
  if (flags.list) return listPrint();
  // First, for `--allocator NAME FILE` takes the file for a name.
  const chosen = await allocatorsChoose(flags, command);
  if (files.length === 0) command.error("error: no trace given (see terrane replay --help)");
  const traces = await tracesRead(files);
  const results = await replayTraces(traces, chosen, flags);
  process.stdout.write(flags.json ? asJson(results) : await asTable(results));
}

async function listPrint(): Promise<void> {
  const { allocators } = await import("../trace/allocators.ts");
  for (const { name, describe, onRequest } of allocators) {
    const note = onRequest ? " (on request)" : "";
    process.stdout.write(`${name.padEnd(18)}${describe}${note}\n`);
  }
}

async function allocatorsChoose(
  { allocator: names, threads }: Pick<ReplayFlags, "allocator" | "threads">,
  command: Command,
): Promise<Allocator[]> {
  const { findTraceAllocator, allocators, findSharedAllocator } = await import(
    "../trace/allocators.ts"
  );
  if (names === undefined) {
    return allocators.filter(({ onRequest, share }) => !onRequest && (!threads || share));
  }
  const wanted = new Set(names.flatMap((name) => name.split(",")).filter((name) => name !== ""));
  try {
    return [...wanted].map(threads ? findSharedAllocator : findTraceAllocator);
  } catch (error) {
    return command.error(`error: ${(error as Error).message}`);
  }
}

/** All before the first replay: a fault in the last trace shows at once and not after minutes. */
async function tracesRead(files: readonly string[]): Promise<Trace[]> {
  const { readTrace } = await import("../trace/reader.ts");
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
  const { runReplay, replaySteps } = await import("../trace/replay.ts");
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

function asJson(results: readonly ReplayResult[]): string {
  return `${JSON.stringify(results, null, 2)}\n`;
}

async function asTable(results: readonly ReplayResult[]): Promise<string> {
  return formatTable(results, colourIsWanted());
}
