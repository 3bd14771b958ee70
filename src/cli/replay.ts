/** `terrane replay`: its options and help. */
import { type Command, InvalidArgumentError } from "commander";
import { exitCodesText } from "./exit-codes.ts";
import { type ReplayFlags, replayAction } from "./replay-traces.ts";

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
  m ID SIZE            malloc            r OLD NEW SIZE   realloc (OLD 0: of null)
  c ID COUNT SIZE      calloc            f ID             free
  a ID ALIGNMENT SIZE  aligned malloc    t N              thread N does what follows
IDs count up from 1. All threads are replayed on one thread, in the order of the trace. With
--threads each has a Worker of its own on one heap, and all run at once: only operations on the same
block keep their order, so peaks differ from run to run. Only allocators that threads can share
take part.

Without --allocator all allocators run, except those that --list marks "on request". The free of
thi.ng searches all live blocks, which takes minutes if there are many.

${exitCodesText("replay")}`;

/** Adds the command to the program. Failures are thrown; main.ts reports them. */
export function replayCommandAdd(program: Command): void {
  program
    .command("replay")
    .summary("replay allocation traces on several allocators")
    .description("Replay allocation traces and compare speed and memory of allocators.")
    .argument("[trace...]", "trace files; - is standard input")
    .option("-a, --allocator <name...>", "allocators, separated by spaces or commas")
    .option("-r, --rounds <n>", "timed rounds; the median counts", roundsParse, ROUNDS)
    .option("-t, --threads", "replay each thread of a trace in a Worker of its own")
    .option("--json", "print the results as JSON and nothing else")
    .option("--list", "print the allocators and end")
    .addHelpText("after", HELP)
    .action(async (files: string[], flags: ReplayFlags, self: Command) => {
      await replayAction(files, flags, self);
    });
}

function roundsParse(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= ROUNDS_MAX) return rounds;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${ROUNDS_MAX}.`);
}
