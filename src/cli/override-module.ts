/** What `terrane override` does: writes a module with its allocator replaced by our heap. */
import type { Command } from "commander";
import { type Overridden, type OverrideReport, override } from "../wasm/override/override.ts";
import type { Planned } from "../wasm/override/plan.ts";
import { printable, printableName } from "../wasm/symbols/printable.ts";
import { type AllocatorFlags, orUsageError } from "./options.ts";
import { fileWrite, STANDARD, STDERR, STDOUT, streamWrite } from "./output.ts";
import { fileRead, requireValid, withFileName } from "./program.ts";

/** The options of the command. */
export interface OverrideFlags extends AllocatorFlags {
  readonly output?: string;
  readonly import?: true;
  readonly dryRun?: true;
  readonly json?: true;
  readonly maxMemory?: number;
}

/** Writes the module with its allocator replaced, and prints the report. */
export async function overrideModule(
  path: string,
  flags: OverrideFlags,
  command: Command,
): Promise<void> {
  const { bytes, report } = orUsageError(command, () => moduleOverride(path, flags));
  if (!flags.dryRun) await fileWrite(flags.output as string, bytes);
  const stream = !flags.dryRun && flags.output === STANDARD ? STDERR : STDOUT;
  streamWrite(stream, flags.json ? `${JSON.stringify(report, undefined, 2)}\n` : text(report));
}

function moduleOverride(path: string, flags: OverrideFlags): Overridden {
  if (flags.output === undefined && !flags.dryRun) {
    throw new Error("say with --output where the new module goes, or ask with --dry-run");
  }
  const bytes = fileRead(path);
  return withFileName(path, () => {
    const overridden = override(bytes, {
      form: flags.import ? "import" : "merge",
      functions: flags.function,
      trust: flags.trust,
      acceptLeftovers: flags.acceptLeftovers,
      maxMemory: flags.maxMemory,
    });
    requireValid(path, bytes);
    requireValid("the new module", overridden.bytes);
    return overridden;
  });
}

const FATES: Readonly<Record<Planned["fate"], string>> = {
  replaced: "replaced",
  kept: "kept: it calls one that is replaced",
  unused: "dropped: nothing calls it any more",
};

const HEADERS =
  "  blocks have the headers that the program knows, which take 8 bytes each, in C 16\n";

function text(report: OverrideReport): string {
  const width = Math.max(...report.functions.map((each) => each.role.name.length));
  const rows = report.functions.map(({ index, name, role, source, sure, fate }) => {
    const how = sure === "certain" ? `by ${source}` : `by ${source}, ${sure}`;
    const what = `${index} (${printableName(name)}, ${how})`;
    return `  ${role.name.padEnd(width)}  function ${what}: ${FATES[fate]}\n`;
  });
  const { bytesBefore: before, bytesAfter: after } = report;
  const percent = (((after - before) / before) * 100).toFixed(1);
  return [
    `terrane override (${report.form}), pages from ${report.pages}:\n`,
    ...rows,
    `  replaced, since ${printable(report.because)}\n`,
    ...(report.headers ? [HEADERS] : []),
    ...(report.tried > 0 ? [`  tried: ${report.tried} functions of the new module behave\n`] : []),
    ...report.notes.map((note) => `  note: ${note}\n`),
    `  ${before} bytes before, ${after} bytes after (${after < before ? "" : "+"}${percent} %)\n`,
  ].join("");
}
