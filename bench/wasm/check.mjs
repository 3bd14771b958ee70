/**
 * What checking costs: eight C kernels, original against checked (with --uninit: against following
 * definedness too), in alternated rounds; and how long the instrumentation of a module of 5 MB
 * takes. Run after `npm run build`.
 */
import { readFileSync } from "node:fs";
import { Checker, instrument, ModuleEditor, readModule } from "../../dist/wasm/index.js";

const ROUNDS = 7;
const SIZES = {
  sort: 200_000,
  matmul: 220,
  tree: 60_000,
  crc: 20_000_000,
  hash: 400_000,
  text: 12_000,
  bodies: 1_500,
  sieve: 5_000_000,
};

const options = { uninitialised: process.argv.includes("--uninit") };
const file = new Uint8Array(readFileSync(new URL("kernels.wasm", import.meta.url)));
const wasi = { wasi_snapshot_preview1: new Proxy({}, { get: () => () => 0 }) };
const names = readModule(file).imports.map((each) => each.name);
const stubs = Object.fromEntries(names.map((name) => [name, () => 0]));
const imports = { ...wasi, wasi_snapshot_preview1: stubs };

const original = new WebAssembly.Instance(new WebAssembly.Module(file), imports).exports;
const checker = new Checker(instrument(file, options));
const module = new WebAssembly.Module(checker.instrumented.bytes);
const instance = new WebAssembly.Instance(module, checker.importObject(imports));
checker.attach(instance);
const checked = instance.exports;
for (const each of [original, checked]) each._initialize?.();

function time(run) {
  const start = performance.now();
  const result = run();
  return [performance.now() - start, result];
}

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
let logs = 0;
for (const [name, size] of Object.entries(SIZES)) {
  const times = [[], []];
  for (let round = 0; round < ROUNDS + 1; round++) {
    const results = [original, checked].map((each) => time(() => each[name](size)));
    if (results[0][1] !== results[1][1]) throw new Error(`${name}: results differ`);
    if (round === 0) continue;
    for (const i of [0, 1]) times[i].push(results[i][0]);
  }
  const [plain, slow] = times.map(median);
  logs += Math.log(slow / plain);
  const ratio = (slow / plain).toFixed(2);
  console.log(`${name.padEnd(8)}${plain.toFixed(1)} ms, checked ${slow.toFixed(1)} ms: ${ratio}x`);
}
const mean = Math.exp(logs / Object.keys(SIZES).length).toFixed(2);
console.log(`geometric mean ${mean}x; ${checker.reports.length} reports; Node ${process.version}`);

/** A module of at least so many bytes: all functions of the kernels, over and over. */
function moduleOf(bytes) {
  const module = readModule(file);
  const editor = new ModuleEditor(module);
  const first = module.importedFunctions;
  const codeBytes = module.bodies.reduce((sum, body) => sum + body.end - body.start, 0);
  for (let copy = 0; copy * codeBytes < bytes; copy++) {
    module.bodies.forEach((_, i) => {
      editor.keepOriginal(first + i, `copy ${copy} of ${i}`);
    });
  }
  return editor.write().bytes;
}

const large = moduleOf(5e6);
const takes = Array.from({ length: ROUNDS }, () => time(() => instrument(large, options))[0]);
const { bytes, checks } = instrument(large, options);
console.log(
  `instrumentation of ${large.length} bytes: first ${takes[0].toFixed(0)} ms, ` +
    `median ${median(takes).toFixed(0)} ms; ${checks} checks, ${bytes.length} bytes`,
);
