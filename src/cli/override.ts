/** `terrane override`: writes a module anew with our heap in it. */
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { ModuleError } from "../wasm/module/errors.ts";
import { type Overridden, type OverrideReport, override } from "../wasm/override/override.ts";
import type { Planned } from "../wasm/override/plan.ts";
import { bytesParse } from "./bytes.ts";
import { engineCheck, type FunctionFlags, fileRead, functionCollect } from "./wasi.ts";

interface OverrideFlags {
  readonly output?: string;
  readonly import?: true;
  readonly dryRun?: true;
  readonly json?: true;
  readonly function?: FunctionFlags;
  readonly guess?: true;
  readonly maxMemory?: number;
}

const HELP = `
Examples:
  $ terrane override program.wasm -o faster.wasm
  $ terrane override --dry-run program.wasm
  $ terrane override --function malloc=41 --function free=43 stripped.wasm -o faster.wasm
  $ terrane override --import plugin.wasm -o plugin-on-our-heap.wasm

The bodies of malloc, free and their kin become our heap's. By default the heap is merged into the
module, which needs no import and runs wherever it ran. With --import the module takes functions and
memory from "terrane", so that several modules and threads share one heap; see overrideImports of
terrane/wasm. Debug information is left out, since code moves. See docs/guide/overriding.md.

Exit code: 0 written (or could be, with --dry-run), 2 wrong use, a file that cannot be read, or one
whose allocator cannot be replaced.`;

export function overrideCommandAdd(program: Command): void {
  program
    .command("override")
    .argument("<module>", "a WebAssembly module")
    .summary("replace a finished module's malloc by ours")
    .description("Write a WebAssembly module anew with its allocator replaced by our heap.")
    .option("-o, --output <file>", "where the new module goes")
    .option("--import", "import the heap instead of merging it")
    .option("--dry-run", "only tell what would be done")
    .option("--json", "print the report as JSON")
    .option("--function <role=which>", "an allocator function by index or name", functionCollect)
    .option("--guess", "take functions for the allocator because they look like one")
    .option("--max-memory <bytes>", "the most memory it may have; K, M and G work", bytesParse)
    .addHelpText("after", HELP)
    .action(overrideAction);
}

function overrideAction(path: string, flags: OverrideFlags, command: Command): void {
  try {
    const { bytes, report } = moduleOverride(path, flags);
    outputWrite(flags, bytes);
    process.stdout.write(flags.json ? `${JSON.stringify(report, undefined, 2)}\n` : text(report));
  } catch (error) {
    command.error(`error: ${(error as Error).message}`);
  }
}

function outputWrite(flags: OverrideFlags, bytes: Uint8Array): void {
  if (flags.dryRun) return;
  try {
    writeFileSync(flags.output as string, bytes);
  } catch (error) {
    throw new Error(`${flags.output}: cannot be written: ${(error as Error).message}`);
  }
}

/** Every trouble with the file is one line; so is a result that the engine would refuse. */
function moduleOverride(path: string, flags: OverrideFlags): Overridden {
  if (flags.output === undefined && !flags.dryRun) {
    throw new Error("say with --output where the new module goes, or ask with --dry-run");
  }
  const bytes = fileRead(path);
  try {
    const overridden = override(bytes, {
      form: flags.import ? "import" : "merge",
      functions: flags.function,
      guess: flags.guess,
      maxMemory: flags.maxMemory,
    });
    engineCheck(path, bytes);
    engineCheck("the new module", overridden.bytes);
    return overridden;
  } catch (error) {
    if (!(error instanceof ModuleError || error instanceof RangeError)) throw error;
    throw new Error(`${path}: ${error.message}`);
  }
}

const FATES: Readonly<Record<Planned["fate"], string>> = {
  replaced: "replaced",
  kept: "kept: it calls one that is replaced",
  unused: "dropped: nothing calls it any more",
};

function text(report: OverrideReport): string {
  const width = Math.max(...report.functions.map((each) => each.role.name.length));
  const rows = report.functions.map(({ index, name, role, source, sure, fate }) => {
    const how = sure === "certain" ? `by ${source}` : `by ${source}, ${sure}`;
    return `  ${role.name.padEnd(width)}  function ${index} (${name}, ${how}): ${FATES[fate]}\n`;
  });
  const { bytesBefore: before, bytesAfter: after } = report;
  const percent = (((after - before) / before) * 100).toFixed(1);
  return [
    `terrane override (${report.form}), pages from ${report.pages}:\n`,
    ...rows,
    ...report.notes.map((note) => `  note: ${note}\n`),
    `  ${before} bytes before, ${after} bytes after (${after < before ? "" : "+"}${percent} %)\n`,
  ].join("");
}
