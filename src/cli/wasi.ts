/** Programs for WASI on the command line: arguments, environment, folders, and how they end. */
import { readFileSync } from "node:fs";
import type { WASI } from "node:wasi";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { KIND, type Module } from "../wasm/module/module.ts";

/** The exit code of a program that has trapped, as shells report an abort. */
export const EXIT_TRAP = 134;

export interface WasiFlags {
  readonly env?: Readonly<Record<string, string>>;
  readonly dir?: Readonly<Record<string, string>>;
}

/** Adds the options that all commands have which run a program. */
export function wasiOptionsAdd(command: Command): Command {
  return command
    .argument("<program>", "a WebAssembly program for WASI preview 1")
    .argument("[arg...]", "arguments of the program")
    .option("--env <name=value>", "an environment variable; may be repeated", pairCollect("="))
    .option("--dir <folder[::name]>", "a folder that it may use; may be repeated", dirCollect)
    .passThroughOptions();
}

/** Collects NAME=VALUE pairs of an option that may be repeated. */
function pairCollect(sign: string) {
  return (text: string, before: Readonly<Record<string, string>> = {}) => {
    const at = text.indexOf(sign);
    if (at < 1) throw new InvalidArgumentError(`It must be of the form NAME${sign}VALUE.`);
    return { ...before, [text.slice(0, at)]: text.slice(at + sign.length) };
  };
}

/** Functions by their roles: a role may be several functions'. */
export type FunctionFlags = Readonly<Record<string, readonly string[]>>;

/** Collects ROLE=WHICH of --function. */
export function functionCollect(text: string, before: FunctionFlags = {}): FunctionFlags {
  const [[role, which]] = Object.entries(pairCollect("=")(text)) as [[string, string]];
  return { ...before, [role]: [...(before[role] ?? []), which] };
}

/** HOST::GUEST gives a folder another name for the program. */
function dirCollect(text: string, before: Readonly<Record<string, string>> = {}) {
  const at = text.indexOf("::");
  const [host, guest] = at < 0 ? [text, text] : [text.slice(0, at), text.slice(at + 2)];
  return { ...before, [guest]: host };
}

/** A file's bytes; failures are one clear line. */
export function fileRead(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw new Error(`${path}: cannot be read: ${reasonOf(error as NodeJS.ErrnoException)}`);
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "no such file";
  return error.code === "EISDIR" ? "it is a folder" : error.message;
}

/** Refuses what node:wasi cannot start. */
export function requireWasiCommand(path: string, module: Module): void {
  const has = (name: string, kind: number) =>
    module.exports.some((each) => each.name === name && each.kind === kind);
  if (!has("_start", KIND.function)) {
    throw new Error(`${path}: not a program for WASI: it exports no _start`);
  }
  if (!has("memory", KIND.memory)) {
    throw new Error(`${path}: not a program for WASI: it exports no memory`);
  }
  const foreign = module.imports.find(
    (each) =>
      each.kind === KIND.function && !/^wasi_(snapshot_preview1|unstable)$/.test(each.module),
  );
  if (!foreign) return;
  throw new Error(`${path}: needs ${foreign.module}.${foreign.name}, which WASI does not have`);
}

/** The engine's verdict on a module, in one line. */
export function engineCheck(path: string, bytes: Uint8Array): void {
  if (WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>)) return;
  try {
    new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  } catch (error) {
    const text = (error as Error).message.replace(/^WebAssembly\.Module\(\): /, "");
    throw new Error(`${path}: not valid: ${text}`);
  }
}

interface WasiSetting extends WasiFlags {
  readonly program: string;
  readonly args: readonly string[];
  /** The file descriptor that the program's standard output goes to. */
  readonly stdout?: number;
}

/** node:wasi, without the warning that it is experimental: the user has not chosen it. */
export async function wasiCreate(setting: WasiSetting): Promise<WASI> {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    const { WASI } = await import("node:wasi");
    return new WASI({
      version: "preview1",
      args: [setting.program, ...setting.args],
      env: { ...setting.env },
      preopens: { ...setting.dir },
      stdout: setting.stdout ?? 1,
      returnOnExit: true,
    });
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** WASI's imports under both names that toolchains use. */
export function wasiImports(functions: WebAssembly.ModuleImports): WebAssembly.Imports {
  return { wasi_snapshot_preview1: functions, wasi_unstable: functions };
}
