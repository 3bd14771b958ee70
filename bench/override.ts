/**
 * What an overridden program gains: the kernels of finished modules, original against overridden in
 * alternated rounds of one process, medians. To run, after `npm run build`:
 *
 *   npx tsc -p bench && node build/bench/override.js [ROUNDS]
 */
import { readFileSync } from "node:fs";
import { override, readModule } from "#dist/wasm/index.js";
import { fromRoot } from "./paths.ts";
import { geometricMean, median } from "./stats.ts";

type Kernels = Readonly<Record<string, number>>;

/** Modules that mostly allocate, and how often each kernel repeats itself. */
const heavy: Readonly<Record<string, Kernels>> = {
  "bench/override/heavy-c.wasm": {
    c_trees: 300,
    c_slots: 150_000,
    c_words: 30_000,
    c_arrays: 1e6,
    c_queue: 400_000,
  },
  "bench/override/heavy-cpp.wasm": {
    cpp_map: 50_000,
    cpp_strings: 30_000,
    cpp_trees: 400,
    cpp_lists: 300_000,
    cpp_shared: 300_000,
  },
  "bench/override/heavy-rust.wasm": {
    rust_trees: 150,
    rust_btree: 30_000,
    rust_hash: 100_000,
    rust_strings: 20_000,
    rust_graph: 200_000,
  },
};

/** Fixtures of the tests and kernels that allocate little. */
const others: Readonly<Record<string, Kernels>> = {
  "bench/wasm/kernels.wasm": {
    sort: 20_000,
    matmul: 180,
    tree: 30_000,
    crc: 2_000_000,
    hash: 150_000,
    text: 2000,
    bodies: 600,
    sieve: 3_000_000,
  },
  "test/wasm/fixtures/boxes.wasm": { correct: 20_000 },
  "test/wasm/fixtures/strings.wasm": { correct: 3000 },
};

type Exports = Readonly<Record<string, (n: number) => number>>;

function start(bytes: Uint8Array<ArrayBuffer>): Exports {
  const imports: Record<string, Record<string, () => number>> = {};
  for (const { module, name } of readModule(bytes).imports) {
    imports[module] = { ...imports[module], [name]: () => 0 };
  }
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  const exports = instance.exports as Exports;
  (exports._initialize ?? exports.start)?.(0);
  return exports;
}

function timed(run: () => number): { time: number; result: number } {
  const from = performance.now();
  const result = run();
  return { time: performance.now() - from, result };
}

/** The first rounds belong to the compiler. */
const WARM_UP = 10;

/** How many times faster the overridden kernel is. */
function compare(name: string, size: number, subjects: readonly Exports[], rounds: number): number {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds + WARM_UP; round++) {
    const order = round % 2 === 0 ? [0, 1] : [1, 0];
    const results = order.map((i) => {
      const { time, result } = timed(() => subjects[i]?.[name]?.(size) as number);
      if (round >= WARM_UP) times[i as 0 | 1].push(time);
      return result;
    });
    if (results[0] !== results[1]) throw new Error(`${name}: results differ: ${results}`);
  }
  const [original, ours] = times.map(median) as [number, number];
  const row = [name, original.toFixed(1), ours.toFixed(1), (original / ours).toFixed(2)];
  console.log(`| ${row.join(" | ")} |`);
  return original / ours;
}

function table(title: string, modules: Readonly<Record<string, Kernels>>, rounds: number): void {
  console.log(
    `\n| ${title} | original, ms | overridden, ms | times faster |\n|---|---:|---:|---:|`,
  );
  const ratios: number[] = [];
  for (const [path, kernels] of Object.entries(modules)) {
    const bytes = new Uint8Array(readFileSync(fromRoot(path)));
    const { bytes: changed, report } = override(bytes);
    const subjects = [start(bytes), start(changed)];
    for (const [name, size] of Object.entries(kernels)) {
      ratios.push(compare(name, size, subjects, rounds));
    }
    console.error(`${path}: ${report.bytesBefore} bytes, ${report.bytesAfter} after`);
  }
  console.log(`| geometric mean | | | ${geometricMean(ratios).toFixed(2)} |`);
}

const rounds = Number(process.argv[2] ?? 41);
table("mostly allocates", heavy, rounds);
table("other programs", others, rounds);
console.log(`\nNode ${process.version}, ${rounds} rounds`);
