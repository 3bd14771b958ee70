/** Options that several commands have, and how their values are read. */
import { type Command, InvalidArgumentError } from "commander";
import { PAGE_BYTES, PAGES_MOST } from "../common/constants.ts";

/** Allocator functions by their roles; several functions may have one role. */
export type FunctionFlags = Readonly<Record<string, readonly string[]>>;

/** The options of commands that look for a module's allocator. */
export interface AllocatorFlags {
  readonly function?: FunctionFlags;
  readonly trust?: true;
  readonly acceptLeftovers?: true;
}

/** Adds the options of commands that look for a module's allocator. */
export function allocatorOptionsAdd(command: Command): Command {
  return command
    .option(
      "--function <role=which>",
      "the function with this role (malloc, free, …), by its index or name; may be repeated",
      functionCollect,
    )
    .option("--trust", "take these functions, or what the names say, without a proof")
    .option("--accept-leftovers", "replace the allocator even if parts of it stay in use");
}

/** The options of commands that run a program. */
export interface WasiFlags {
  readonly env?: Readonly<Record<string, string>>;
  readonly dir?: Readonly<Record<string, string>>;
}

/** Adds the arguments and options of commands that run a program. */
export function wasiOptionsAdd(command: Command): Command {
  return command
    .argument("<program>", "a WebAssembly program for WASI preview 1")
    .argument("[arg...]", "arguments of the program")
    .option("--env <name=value>", "set an environment variable; may be repeated", pairCollect)
    .option(
      "--dir <folder[::name]>",
      "let the program use a folder, under this name; may be repeated",
      dirCollect,
    )
    .passThroughOptions();
}

/** Adds --max-memory. */
export function maxMemoryOptionAdd(command: Command): Command {
  return command.option(
    "--max-memory <bytes>",
    "the most memory that the program may have: 65536, 64K, 16M, 4G",
    bytesParse,
  );
}

/** Collects NAME=VALUE of an option that may be repeated. */
function pairCollect(text: string, before: Readonly<Record<string, string>> = {}) {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be of the form NAME=VALUE.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Collects ROLE=WHICH. */
function functionCollect(text: string, before: FunctionFlags = {}): FunctionFlags {
  const [[role, which]] = Object.entries(pairCollect(text)) as [[string, string]];
  return { ...before, [role]: [...(before[role] ?? []), which] };
}

/** Collects FOLDER::NAME: the program sees the folder under that name. */
function dirCollect(text: string, before: Readonly<Record<string, string>> = {}) {
  const at = text.indexOf("::");
  const [host, guest] = at < 0 ? [text, text] : [text.slice(0, at), text.slice(at + 2)];
  return { ...before, [guest]: host };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes from a number and a unit: 65536, 64K, 16M, 4G. */
function bytesParse(text: string): number {
  const [, number, unit] = /^(\d+)([KMG]?)$/.exec(text.toUpperCase()) ?? [];
  const bytes = Number(number) * (UNITS[unit ?? ""] as number);
  if (bytes >= PAGE_BYTES && bytes <= PAGES_MOST * PAGE_BYTES) return bytes;
  throw new InvalidArgumentError("It must be from 64K to 4G.");
}

/** Runs a step in which everything that fails is the user's mistake: one line, and exit code 2. */
export function orUsageError<T>(command: Command, run: () => T): T {
  try {
    return run();
  } catch (error) {
    return command.error(`error: ${(error as Error).message}`);
  }
}
