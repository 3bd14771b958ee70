/**
 * Runs a program for WASI, in a process of its own: node:wasi in a process of node:test has crashed
 * Node 20. Arguments: the file, the forms (original, merge, import, import-js), the program's own.
 * Behind the output of each form stands its exit code between two separators.
 */
import { readFileSync, writeSync } from "node:fs";
import { createAbi, createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { override, overrideImports } from "#src/wasm/index.js";

process.removeAllListeners("warning");
const { WASI } = await import("node:wasi");

const [path, forms, ...args] = process.argv.slice(2) as [string, string];
const file = new Uint8Array(readFileSync(path));

function ready(form: string): { bytes: Uint8Array<ArrayBuffer>; imports: WebAssembly.Imports } {
  if (form === "original") return { bytes: file, imports: {} };
  if (form === "merge") return { bytes: override(file).bytes, imports: {} };
  const { bytes, report } = override(file, { form: "import" });
  const memory = new WebAssembly.Memory({ initial: report.memory.min });
  const heap = createHeap({ memory, backend: form === "import" ? undefined : javascript });
  return { bytes, imports: overrideImports({ memory: heap.memory, abi: createAbi(heap) }) };
}

for (const form of forms.split(",")) {
  const { bytes, imports } = ready(form);
  const wasi = new WASI({ version: "preview1", args: ["program", ...args], returnOnExit: true });
  const functions = wasi.wasiImport as WebAssembly.ModuleImports;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    wasi_snapshot_preview1: functions,
    wasi_unstable: functions,
    ...imports,
  });
  const code = wasi.start(instance) as unknown as number;
  writeSync(1, `\x1e${code}\x1e`);
}
