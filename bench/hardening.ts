/**
 * The price of hardening: `npm run bench:hardening`, or with workloads by name. Each workload runs
 * inside wasm on the plain core, on the hardened core with nothing on, with each feature alone, and
 * with all; all take turns within each round. Prints ratios of medians to the plain core, and the
 * memory that each grew to.
 */
import { parseArgs } from "node:util";
import { type HardeningFeature, hardening, hardeningFeatures } from "#src/heap/hardening.js";
import { createAbi, createHeap } from "#src/heap/index.js";
import { unexpected } from "./allocators.ts";
import { type Bound, bindWasm } from "./measure.ts";
import { engine } from "./report.ts";
import { geometricMean, median } from "./stats.ts";

const ROUNDS = 3;
const WORKLOADS = ["replace_1000", "larson", "alloc_test", "realloc_growth", "large", "trace:perl"];

const PLAIN = "plain core";

/** The features that are on; undefined: the plain core. */
const subjects: Record<string, readonly HardeningFeature[] | undefined> = {
  [PLAIN]: undefined,
  "hardened core, nothing on": [],
  ...Object.fromEntries(hardeningFeatures.map((feature) => [feature, [feature]])),
  "padding, canary, doubleFree": ["padding", "canary", "doubleFree"],
  "all but fill": hardeningFeatures.filter((feature) => feature !== "fill"),
  all: hardeningFeatures,
};

interface Figures {
  readonly times: number[];
  bytes: number;
}

/** A heap of its own for each run, since what a run leaves is part of the next one's price. */
function bound(name: string, workload: string): { run: Bound; bytes(): number } {
  const features = subjects[name];
  const heap = createHeap({
    hardening: features && hardening({ features, seed: 1 }),
    onError: unexpected("error"),
  });
  const memory = heap.memory as WebAssembly.Memory;
  const run = bindWasm({ memory, exports: createAbi(heap) }, workload);
  return { run, bytes: () => memory.buffer.byteLength - run.driverBytes };
}

function measure(workload: string): Map<string, Figures> {
  const names = Object.keys(subjects);
  const figures = new Map(names.map((name) => [name, { times: [], bytes: 0 } as Figures]));
  for (let round = 0; round < ROUNDS; round++) {
    names.forEach((_, index) => {
      const name = names[(index + round) % names.length] as string;
      const { run, bytes } = bound(name, workload);
      run.run();
      const start = performance.now();
      run.run();
      const time = performance.now() - start;
      const of = figures.get(name) as Figures;
      of.times.push(time);
      of.bytes = bytes();
    });
  }
  return figures;
}

function main(): void {
  const { positionals } = parseArgs({ allowPositionals: true });
  const workloads = positionals.length > 0 ? positionals : WORKLOADS;
  const measured = workloads.map((workload) => measure(workload));
  const date = new Date().toISOString().slice(0, 10);
  console.log(`${engine()}, ${date}, ${ROUNDS} rounds in turn, times and memory / plain core`);
  console.log(`\n| | ${workloads.join(" | ")} | geometric mean | memory |`);
  console.log(`|---|${workloads.map(() => "---:").join("|")}|---:|---:|`);
  for (const name of Object.keys(subjects)) {
    const of = (pick: (figures: Figures) => number) =>
      measured.map((each) => pick(each.get(name) as Figures) / pick(each.get(PLAIN) as Figures));
    const times = of(({ times }) => median(times));
    const cells = times.map((ratio) => ratio.toFixed(2)).join(" | ");
    const memory = geometricMean(of(({ bytes }) => bytes)).toFixed(2);
    console.log(`| ${name} | ${cells} | ${geometricMean(times).toFixed(2)} | ${memory} |`);
  }
}

main();
