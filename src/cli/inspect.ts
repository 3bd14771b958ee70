/** `terrane inspect`: its options and help. */
import type { Command } from "commander";
import { exitCodesText } from "./exit-codes.ts";
import { type InspectFlags, inspectFile } from "./inspect-file.ts";

const HELP = `
Examples:
  $ terrane inspect program.wasm
  $ terrane inspect --json stripped.wasm > report.json

Prints the toolchain, features, sections and memory of a module, and which functions are its
allocator. Names, exports and shapes of code only nominate a function; it is proven if it behaves as
malloc, free, realloc and so on when it is called in a scratch instance, in which all imports do
nothing. The program itself does not run, and its file does not change.

Of each function the report says how it was found (by its name, its export, the shape of its code,
its distance from memory.grow, the state that it touches, or what it calls), and whether it holds
the allocator's state or is a wrapper. Leftovers are other functions that touch this state or look
into the headers of blocks: parts of the allocator that were inlined in the program.

Verdicts:
  replace    the allocator is proven, and no leftover was found
  watch      the allocator is proven, and parts of it are elsewhere: replacing it is not safe
  none       nothing allocates, or nothing frees
  undecided  it could not be tried, or what has the names of an allocator is none

${exitCodesText("inspect")}`;

export function inspectCommandAdd(program: Command): void {
  program
    .command("inspect")
    .argument("<module>", "a WebAssembly module")
    .summary("print what a module consists of, and prove which functions are its allocator")
    .description("Find out about a WebAssembly module, with or without names.")
    .option("--json", "print the report as JSON")
    .addHelpText("after", HELP)
    .action(async (path: string, flags: InspectFlags, self: Command) => {
      await inspectFile(path, flags, self);
    });
}
