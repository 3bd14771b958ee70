/** Modules and programs that commands are given: every failure is one line with the file's name. */
import { readFileSync } from "node:fs";
import { ModuleError } from "../wasm/module/errors.ts";
import { KIND, type Module } from "../wasm/module/module.ts";

/** The bytes of a file. */
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

/** Runs a step; errors about the module get the name of its file. */
export function withFileName<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ModuleError || error instanceof RangeError)) throw error;
    throw new Error(`${path}: ${error.message}`);
  }
}

/** @throws Error unless node:wasi can start the module. */
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

/** @throws Error with the engine's reason if it refuses the module. */
export function requireValid(path: string, bytes: Uint8Array): void {
  if (WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>)) return;
  try {
    new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  } catch (error) {
    const text = (error as Error).message.replace(/^WebAssembly\.Module\(\): /, "");
    throw new Error(`${path}: not valid: ${text}`);
  }
}
