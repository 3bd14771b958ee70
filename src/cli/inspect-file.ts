/** What `terrane inspect` does: reads a module, tries its allocator, and prints what was found. */
import type { Command } from "commander";
import { findAllocator } from "../wasm/allocators/finder.ts";
import { rolesToGive } from "../wasm/allocators/roles.ts";
import { KIND, type Module } from "../wasm/module/module.ts";
import { readModule } from "../wasm/module/reader.ts";
import { type Inspection, inspectModule, isProgram } from "../wasm/proof/inspect.ts";
import type { TriedFunction } from "../wasm/proof/prove.ts";
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
  const inspection = await inspectModule(module);
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
      const options = functionOptions(module, inspection.proof.functions);
      const output = quoted(path.replace(/(\.wasm)?$/, "-terrane.wasm"));
      return `terrane override ${options}${file} -o ${output}`;
    }
    case "watch":
    case "none":
      return isProgram(module) ? `terrane run --allocator own --stats ${file}` : undefined;
    default:
      return undefined;
  }
}

/** Options that name the proven functions, where their names do not do so. */
function functionOptions(module: Module, functions: readonly TriedFunction[]): string {
  const base = functions.filter((each) => each.base);
  const certain = findAllocator(module).filter((each) => each.sure === "certain");
  const known = new Set(certain.map((each) => each.index));
  const isCovered = ({ index }: TriedFunction) =>
    known.has(index) || isInside(module, index, known);
  if (base.every(isCovered)) return "";
  const canGive = ({ role }: TriedFunction) =>
    rolesToGive.some(({ name, params }) => name === role.name && `${params}` === `${role.params}`);
  const given = functions.filter((each) => (each.base || isHeaderUser(each)) && canGive(each));
  const options = given.map((each) => `--function ${each.role.name}=${each.index} `);
  return options.join("");
}

/** Wrappers of these kinds look at the headers of blocks, which change: calloc to save clearing. */
function isHeaderUser({ role, failure }: TriedFunction): boolean {
  return failure === undefined && !["alloc", "free"].includes(role.action);
}

/** Whether nothing calls a function but some known ones, with which it is replaced. */
function isInside(module: Module, index: number, known: ReadonlySet<number>): boolean {
  const isExported = module.exports.some(
    (each) => each.kind === KIND.function && each.index === index,
  );
  if (isExported || module.referenced.includes(index)) return false;
  return module.code.calls.every(
    (callees, i) => known.has(module.importedFunctions + i) || !callees.includes(index),
  );
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
