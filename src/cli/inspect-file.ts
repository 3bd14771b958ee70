/** What `terrane inspect` does: reads a module, tries its allocator, and prints what was found. */
import type { Command } from "commander";
import { type Inspection, inspectModule, isProgram } from "../wasm/inspect/inspect.ts";
import type { Module } from "../wasm/module/module.ts";
import { readModule } from "../wasm/module/reader.ts";
import { inspectionText } from "./inspect-text.ts";
import { orUsageError } from "./options.ts";
import { STDOUT, streamWrite } from "./output.ts";
import { fileRead, requireValid, withFileName } from "./program.ts";

/** The options of the command. */
export interface InspectFlags {
  readonly json?: true;
}

/** Prints a report about the module in a file. */
export async function inspectFile(
  path: string,
  flags: InspectFlags,
  command: Command,
): Promise<void> {
  const module = orUsageError(command, () => moduleRead(path));
  const inspection = inspectModule(module);
  const next = nextCommand(path, module, inspection);
  const report = { module: path, ...inspection, next: next ?? null };
  const text = flags.json
    ? `${JSON.stringify(report, withNull, 2)}\n`
    : inspectionText(path, inspection, next);
  streamWrite(STDOUT, text);
}

/** Reports have the same fields for every module. */
function withNull(_: string, value: unknown): unknown {
  return value === undefined ? null : value;
}

function moduleRead(path: string): Module {
  const bytes = fileRead(path);
  return withFileName(path, () => {
    const module = readModule(bytes);
    requireValid(path, bytes);
    return module;
  });
}

/** The command that is of use next; undefined if there is none. */
function nextCommand(path: string, module: Module, inspection: Inspection): string | undefined {
  const file = quoted(path);
  switch (inspection.verdict) {
    case "replace": {
      const output = quoted(path.replace(/(\.wasm)?$/, "-terrane.wasm"));
      return `terrane override ${file} -o ${output}`;
    }
    case "watch":
    case "none":
      return isProgram(module) ? `terrane run --allocator own --stats ${file}` : undefined;
    default:
      return undefined;
  }
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
