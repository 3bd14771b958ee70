/** `terrane run`: its options and help. */
import { type Command, Option } from "commander";
import { exitCodesText } from "./exit-codes.ts";
import { allocatorOptionsAdd, maxMemoryOptionAdd, wasiOptionsAdd } from "./options.ts";
import type { RunFlags } from "./orders.ts";
import { runProgram } from "./run-program.ts";

const HELP = `
Examples:
  $ terrane run program.wasm input.txt --verbose
  $ terrane run --stats --max-memory 64M program.wasm
  $ terrane run --allocator own --trace program.trace program.wasm
  $ terrane replay program.trace

The program's malloc, free and the like are replaced by our heap when it is loaded; its file does
not change. The memory that it has at its start remains its own; our heap adds memory behind that.
Options of terrane come before the program; all that follows is passed to it. A trace takes its
place when the program has ended; with --trace - the program's standard output goes to standard
error.

Allocators: terrane, terrane-js (the heap as JavaScript), own (the program's).

${exitCodesText("run")}`;

export function runCommandAdd(program: Command): void {
  const allocator = new Option("-a, --allocator <name>", "the allocator that the program gets")
    .choices(["terrane", "terrane-js", "own"])
    .default("terrane");
  const command = wasiOptionsAdd(program.command("run"))
    .summary("run a finished WebAssembly program on our heap")
    .description("Run a WASI program with its allocator replaced, without rebuilding it.")
    .addOption(allocator)
    .option("--stats", "print counts of calls, blocks and bytes at the end, on standard error")
    .option("--trace <file>", "write all calls of the allocator to a trace; - is standard output");
  allocatorOptionsAdd(maxMemoryOptionAdd(command))
    .addHelpText("after", HELP)
    .action(async (path: string, args: string[], flags: RunFlags, self: Command) => {
      process.exitCode = await runProgram(path, args, flags, self);
    });
}
