/** `terrane check`: its options and help. */
import type { Command } from "commander";
import { checkProgram } from "./check-program.ts";
import { exitCodesText } from "./exit-codes.ts";
import { allocatorOptionsAdd, maxMemoryOptionAdd, wasiOptionsAdd } from "./options.ts";
import type { CheckFlags } from "./orders.ts";

const HELP = `
Examples:
  $ terrane check program.wasm
  $ terrane check --dir . --suppressions known.txt program.wasm input.txt
  $ terrane check --uninit program.wasm
  $ terrane check --json --halt program.wasm > report.json

Finds accesses outside heap blocks and through null pointers, uses of freed blocks, pointers that
are freed twice or are not blocks, new and delete that do not match, wrong use of realloc, sizes of
calloc that overflow, and leaks; with --uninit also uses of memory that was never written. See
docs/guide/checking.md. Reports have files and lines if the program was built with -g. The file of
the program does not change. Options of terrane come before the program; all that follows is passed
to it.

The allocator is found by running its functions, with or without names. Where it cannot be replaced
safely, the program keeps it, and frees are delayed: a note says so, and accesses beyond a block's
end are not found then.

A suppressions file has lines KIND:PATTERN. A mistake of that kind (* for all) is not reported if a
function or file on one of its stacks matches the pattern, in which * stands for any text.

With --json the program's standard output goes to standard error.

${exitCodesText("check")}`;

export function checkCommandAdd(program: Command): void {
  const command = wasiOptionsAdd(program.command("check"))
    .summary("find memory mistakes of a finished WebAssembly program")
    .description("Run a WASI program and report its memory mistakes, without rebuilding it.")
    .option("--halt", "end at the first mistake")
    .option("--json", "print the reports as JSON on standard output")
    .option("--no-leaks", "do not look for leaks at the end")
    .option("--suppressions <file>", "do not report the mistakes that this file lists")
    .option("--uninit", "also find uses of memory that was never written; five times slower");
  allocatorOptionsAdd(maxMemoryOptionAdd(command))
    .addHelpText("after", HELP)
    .action(async (path: string, args: string[], flags: CheckFlags, self: Command) => {
      process.exitCode = await checkProgram(path, args, flags, self);
    });
}
