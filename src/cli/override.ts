/** `terrane override`: its options and help. */
import type { Command } from "commander";
import { exitCodesText } from "./exit-codes.ts";
import { allocatorOptionsAdd, maxMemoryOptionAdd } from "./options.ts";
import { type OverrideFlags, overrideModule } from "./override-module.ts";

const HELP = `
Examples:
  $ terrane override program.wasm -o faster.wasm
  $ terrane override --dry-run program.wasm
  $ terrane override --import plugin.wasm -o plugin-on-our-heap.wasm

The bodies of malloc, free and the like become those of our heap, if that is proven to be safe: the
functions are found by running them in a scratch instance, with or without names, and then run again
with another allocator beneath them, see terrane inspect. Where parts of the allocator are elsewhere
in the program, the module is refused with exit code 2, and nothing is written.

By default the heap is merged into the module, which needs no import and runs in every engine that
ran the original. With --import the module imports functions and memory from "terrane", so that
several modules and threads can share one heap; see overrideImports of terrane/wasm. Debug
information is left out, since code moves. See docs/guide/overriding.md. The new file takes its
place when it is complete, so it may be the module's own; with -o - the report goes to standard
error.

${exitCodesText("override")}`;

export function overrideCommandAdd(program: Command): void {
  const command = program
    .command("override")
    .argument("<module>", "a WebAssembly module")
    .summary("replace the malloc of a finished module by ours")
    .description("Write a WebAssembly module with its allocator replaced by our heap.")
    .option("-o, --output <file>", "the file of the new module, or - ; needed without --dry-run")
    .option("--import", "import the heap instead of merging it")
    .option("--dry-run", "print what would be done, and write nothing")
    .option("--json", "print the report as JSON");
  allocatorOptionsAdd(maxMemoryOptionAdd(command))
    .addHelpText("after", HELP)
    .action(async (path: string, flags: OverrideFlags, self: Command) => {
      await overrideModule(path, flags, self);
    });
}
