/** The .wasm files under test/wasm/fixtures, and what tests do with modules. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Checker, type CheckerOptions, instrument, readModule } from "#dist/wasm/index.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));

export function fixturePath(name: string): string {
  return `${root}test/wasm/fixtures/${name}`;
}

export function fixture(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(fixturePath(name)));
}

/** Modules of other rooms, for rewriting: compilers and options differ. */
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

/** Runs a module under the checker, in this process. */
export function checked(
  bytes: Uint8Array,
  options: CheckerOptions = {},
  imports: WebAssembly.Imports = {},
): { checker: Checker; exports: Numbers } {
  const checker = new Checker(instrument(bytes), { javascript: false, ...options });
  const module = new WebAssembly.Module(checker.instrumented.bytes);
  const instance = new WebAssembly.Instance(module, checker.importObject(imports));
  checker.attach(instance);
  return { checker, exports: instance.exports as Numbers };
}

export function plain(bytes: Uint8Array, imports: WebAssembly.Imports = {}): Numbers {
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  return new WebAssembly.Instance(module, imports).exports as Numbers;
}
