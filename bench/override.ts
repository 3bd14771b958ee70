/**
 * What an overridden program gains: the kernels of finished modules, original against overridden in
 * alternated rounds, medians; and the medians of several processes, because where the engine puts
 * the code of a loop makes more difference than an allocator. To run, after `npm run build`:
 *
 *   npm run build && node build/bench/override.js [PROCESSES]
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { override, readModule } from "#src/wasm/index.js";
import { roundsAsked } from "./driver.ts";
import { fromRoot } from "./paths.ts";
import { geometricMean, median } from "./stats.ts";

type Kernels = Readonly<Record<string, number>>;

/** Modules that mostly allocate, and how often each kernel repeats itself. */
const heavy: Readonly<Record<string, Kernels>> = {
  "bench/override/heavy-c.wasm": {
    c_trees: 300,
    c_slots: 600_000,
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
    matmul: 220,
    tree: 30_000,
    crc: 2_000_000,
    hash: 150_000,
    text: 8000,
    bodies: 600,
    sieve: 3_000_000,
  },
  "test/wasm/fixtures/boxes.wasm": { correct: 80_000 },
  "test/wasm/fixtures/strings.wasm": { correct: 20_000 },
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
const WARM_UP = 6;
const ROUNDS = 15;

/** Milliseconds of the original and of ours. */
interface Row {
  readonly name: string;
  readonly original: number;
  readonly ours: number;
}

function compare(name: string, size: number, subjects: readonly Exports[]): Row {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    const order = round % 2 === 0 ? [0, 1] : [1, 0];
    const results = order.map((i) => {
      const { time, result } = timed(() => subjects[i]?.[name]?.(size) as number);
      if (round >= WARM_UP) times[i as 0 | 1].push(time);
      return result;
    });
    if (results[0] !== results[1]) throw new Error(`${name}: results differ: ${results}`);
  }
  const [original, ours] = times.map(median) as [number, number];
  return { name, original, ours };
}

function measure(modules: Readonly<Record<string, Kernels>>): Row[] {
  return Object.entries(modules).flatMap(([path, kernels]) => {
    const bytes = new Uint8Array(readFileSync(fromRoot(path)));
    const subjects = [start(bytes), start(override(bytes).bytes)];
    const source = path.split("/").at(-1) as string;
    return Object.entries(kernels).map(([name, size]) => ({
      ...compare(name, size, subjects),
      name: name === "correct" ? source : name,
    }));
  });
}

/** The medians over processes of times, and of their ratio. */
function table(title: string, processes: readonly (readonly Row[])[]): void {
  console.log(
    `\n| ${title} | original, ms | overridden, ms | times faster |\n|---|---:|---:|---:|`,
  );
  const ratios = (processes[0] as Row[]).map(({ name }, i) => {
    const rows = processes.map((each) => each[i] as Row);
    const original = median(rows.map((row) => row.original));
    const ours = median(rows.map((row) => row.ours));
    const ratio = median(rows.map((row) => row.original / row.ours));
    console.log(`| ${name} | ${original.toFixed(1)} | ${ours.toFixed(1)} | ${ratio.toFixed(2)} |`);
    return ratio;
  });
  console.log(`| geometric mean | | | ${geometricMean(ratios).toFixed(2)} |`);
}

const file = fileURLToPath(import.meta.url);
if (process.argv[2] === "child") {
  console.log(JSON.stringify([measure(heavy), measure(others)]));
} else {
  const count = roundsAsked(7);
  const processes = Array.from({ length: count }, () => {
    return JSON.parse(execFileSync(process.execPath, [file, "child"], { encoding: "utf8" }));
  }) as [Row[], Row[]][];
  table(
    "mostly allocates",
    processes.map(([rows]) => rows),
  );
  table(
    "other programs",
    processes.map(([, rows]) => rows),
  );
  console.log(`\nNode ${process.version}, ${count} processes of ${ROUNDS} rounds`);
}
