/** The .wasm files under test/wasm/fixtures, and what tests do with modules. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  Checker,
  type CheckerOptions,
  type Instrumented,
  type InstrumentOptions,
  instrument,
  readModule,
} from "#src/wasm/index.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

export function fixturePath(name: string): string {
  return `${root}test/wasm/fixtures/${name}`;
}

export function fixture(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(fixturePath(name)));
}

/** Modules that others compiled, for rewriting: compilers and options differ. */
export const others: readonly string[] = [
  "dist/core.wasm",
  "bench/rivals/dlmalloc.wasm",
  "bench/rivals/tlsf.wasm",
  "bench/rivals/dlmalloc-lock.wasm",
  "bench/workloads/workloads.wasm",
  "bench/wasm/kernels.wasm",
];

export function other(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(root + path));
}

/** A module without its custom sections, as strip leaves it. */
export function stripped(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts = [...bytes.subarray(0, 8)];
  for (const section of readModule(bytes).sections) {
    if (section.id === 0) continue;
    parts.push(section.id, ...leb(section.end - section.start));
    for (let i = section.start; i < section.end; i++) parts.push(bytes[i] as number);
  }
  return Uint8Array.from(parts);
}

/** Unsigned LEB128. */
export function leb(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...leb(value >>> 7)];
}

/** A section: id, length, contents. */
export function section(id: number, ...contents: number[]): number[] {
  return [id, ...leb(contents.length), ...contents];
}

/** A module of sections. */
export function moduleOf(...sections: number[][]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flat()]);
}

export type Numbers = Record<string, (...args: number[]) => number>;

/** Without the options that are the checker's. */
export function instrumentOptions({
  onReport: _onReport,
  halt: _halt,
  suppressions: _suppressions,
  quarantine: _quarantine,
  javascript: _javascript,
  sourceMap: _sourceMap,
  ...options
}: CheckerOptions & InstrumentOptions): InstrumentOptions {
  return options;
}

/** Runs a module under the checker, in this process. */
export function checked(
  bytes: Uint8Array,
  options: CheckerOptions & InstrumentOptions = {},
  imports: WebAssembly.Imports = {},
): { checker: Checker; exports: Numbers } {
  // Allocators of small modules have the names only, and would not be proven.
  const instrumented = instrument(bytes, { trust: true, ...instrumentOptions(options) });
  const checker = new Checker(instrumented, { javascript: false, ...options });
  const module = new WebAssembly.Module(checker.instrumented.bytes);
  const instance = new WebAssembly.Instance(module, checker.importObject(imports));
  checker.attach(instance);
  return { checker, exports: instance.exports as Numbers };
}

export function plain(bytes: Uint8Array, imports: WebAssembly.Imports = {}): Numbers {
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  return new WebAssembly.Instance(module, imports).exports as Numbers;
}

/** The part of WASI that programs of the fixtures need: one argument, and an exit. */
export interface WasiStub {
  readonly imports: WebAssembly.Imports;
  /** To be set before the program starts. */
  memory: WebAssembly.Memory | undefined;
}

export function wasiStub(argument: string): WasiStub {
  const texts = ["program", argument].map((text) => new TextEncoder().encode(`${text}\0`));
  const buffer = () => (stub.memory as WebAssembly.Memory).buffer;
  const BAD_FILE = 8;
  const names = ["fd_close", "fd_fdstat_get", "fd_seek"];
  const functions = {
    ...Object.fromEntries(names.map((name) => [name, () => BAD_FILE])),
    fd_write(_: number, list: number, count: number, written: number): number {
      const view = new DataView(buffer());
      let total = 0;
      for (let i = 0; i < count; i++) total += view.getUint32(list + i * 8 + 4, true);
      view.setUint32(written, total, true);
      return 0;
    },
    args_sizes_get(count: number, bytes: number): number {
      const view = new DataView(buffer());
      view.setUint32(count, texts.length, true);
      const total = texts.reduce((sum, text) => sum + text.length, 0);
      view.setUint32(bytes, total, true);
      return 0;
    },
    args_get(pointers: number, bytes: number): number {
      let at = bytes;
      texts.forEach((text, i) => {
        new DataView(buffer()).setUint32(pointers + i * 4, at, true);
        new Uint8Array(buffer()).set(text, at);
        at += text.length;
      });
      return 0;
    },
    proc_exit(code: number): never {
      throw new Error(`exit ${code}`);
    },
  };
  const stub: WasiStub = { imports: { wasi_snapshot_preview1: functions }, memory: undefined };
  return stub;
}

/** A program of the fixtures with checks. */
export interface CheckedProgram {
  readonly instrumented: Instrumented;
  readonly module: WebAssembly.Module;
}

export function programOf(file: string, uninitialised: boolean): CheckedProgram {
  const instrumented = instrument(fixture(file), { uninitialised });
  return { instrumented, module: new WebAssembly.Module(instrumented.bytes) };
}

/** Runs it with one argument, until it ends or is halted. */
export function programRun({ instrumented, module }: CheckedProgram, argument: string): Checker {
  const checker = new Checker(instrumented, { javascript: false });
  const wasi = wasiStub(argument);
  wasi.memory = checker.memory;
  const instance = new WebAssembly.Instance(module, checker.importObject(wasi.imports));
  checker.attach(instance);
  try {
    (instance.exports as Numbers)._start?.();
  } catch (error) {
    if ((error as Error).name !== "CheckHalt") throw error;
  }
  return checker;
}
