/**
 * What the debug allocator costs: a sample against the bare heap on the workloads of the catalogue,
 * and every call watched, by frames of its stack. Each measurement has a process of its own, and
 * allocators alternate. To run, after `npm run build`:
 *
 *   npm run build && node build/bench/debug.js [ROUNDS]
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type DebugOptions, debug } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { type Allocator, allocatorNamed } from "./allocators.ts";
import { workloadNames } from "./catalogue.ts";
import { roundsAsked } from "./driver.ts";
import { measure } from "./measure.ts";
import { geometricMean, median } from "./stats.ts";

function debugTyped(name: string, options: DebugOptions): Allocator {
  return {
    name,
    modes: ["js"],
    available: true,
    instantiate: async () => {
      const heap = createHeap();
      const door = debug(heap, { seed: 1, reportAtExit: false, onReport: "throw", ...options });
      const exports = {
        malloc: (size: number) => door.malloc(size),
        free: (block: number) => door.free(block),
        realloc: (block: number, size: number) => door.realloc(block, size),
        calloc: (count: number, size: number) => door.calloc(count, size),
        memalign: (alignment: number, size: number) => door.memalign(alignment, size),
      };
      return { memory: heap.source, exports };
    },
  };
}

const subjects: Record<string, () => Allocator> = {
  bare: () => allocatorNamed("terrane-typed"),
  "1/1000": () => debugTyped("1/1000", { sampleEvery: 1000 }),
  "1/1000, no stacks": () =>
    debugTyped("1/1000, no stacks", { sampleEvery: 1000, stackTraceFrames: 0 }),
  "1/1000, 4 frames": () =>
    debugTyped("1/1000, 4 frames", { sampleEvery: 1000, stackTraceFrames: 4 }),
  "1/2000": () => debugTyped("1/2000", { sampleEvery: 2000 }),
  never: () => debugTyped("never", { sampleEvery: 2 ** 30 }),
};

function deep(frames: number, call: () => number): number {
  return frames === 0 ? call() : deep(frames - 1, call);
}

const LIVE = 1000;
const CALLS = 200_000;

/** Nanoseconds of a malloc or free of blocks below 1000 bytes, 12 frames deep, 1000 of them live. */
function exactTime(options: DebugOptions): number {
  const door = debug(createHeap(), { reportAtExit: false, onReport: "throw", ...options });
  const live = new Uint32Array(LIVE);
  let seed = 1;
  const replace = () => {
    for (let i = 0; i < CALLS / 2; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const at = (seed >>> 8) % LIVE;
      door.free(live[at] as number);
      live[at] = door.malloc((seed >>> 18) % 1000);
    }
    return 0;
  };
  deep(12, replace);
  const start = process.hrtime.bigint();
  deep(12, replace);
  return Number(process.hrtime.bigint() - start) / CALLS;
}

const exact: Record<string, DebugOptions> = {
  "8 frames": {},
  "4 frames": { stackTraceFrames: 4 },
  "1 frame": { stackTraceFrames: 1 },
  "no frames": { stackTraceFrames: 0 },
  "no frames, no safety": { stackTraceFrames: 0, safety: false },
};

const EXACT = "exact";

/** Nanoseconds in this process: of one workload, or of every way to watch each call. */
async function child(what: string, workload: string): Promise<Record<string, number>> {
  if (what === EXACT) {
    return Object.fromEntries(Object.entries(exact).map(([name, o]) => [name, exactTime(o)]));
  }
  const subject = (subjects[what] as () => Allocator)();
  return { [workload]: (await measure(subject, workload, "js")).nsPerOperation };
}

function run(what: string, workload: string): Record<string, number> {
  const self = fileURLToPath(import.meta.url);
  const args = ["--expose-gc", "--no-warnings", self, "--child", what, workload];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

function table(title: string, rows: string[][]): void {
  console.log(`\n${title}\n${rows.map((row) => `| ${row.join(" | ")} |`).join("\n")}`);
}

/**
 * Nanoseconds on the bare heap, and how many times that each other subject takes. The subjects of a
 * workload run one after the other, so that a machine which is busy for a while is so for all.
 */
function ratioRow(workload: string, rounds: number): string[] {
  const times: number[] = [];
  const ratios = Object.keys(subjects).map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    const taken = Object.keys(subjects).map((what) => run(what, workload)[workload] as number);
    times.push(taken[0] as number);
    for (const [index, time] of taken.entries()) ratios[index]?.push(time / (taken[0] as number));
  }
  const others = ratios.slice(1).map((each) => median(each).toFixed(2));
  return [workload, median(times).toFixed(1), ...others];
}

function exactRows(rounds: number): string[][] {
  const taken = Array.from({ length: rounds }, () => run(EXACT, ""));
  return Object.keys(exact).map((name) => {
    return [name, median(taken.map((each) => each[name] as number)).toFixed(0)];
  });
}

function meanRow(rows: string[][]): string[] {
  const columns = Object.keys(subjects)
    .slice(1)
    .map((_, index) => index + 2);
  const means = columns.map((column) => geometricMean(rows.map((row) => Number(row[column]))));
  return ["geometric mean", "", ...means.map((mean) => mean.toFixed(2))];
}

function main(rounds: number): void {
  console.log(`node ${process.version}, ${rounds} rounds`);
  const rows = workloadNames().map((workload) => ratioRow(workload, rounds));
  table(`workload, ${Object.keys(subjects).join(", ")}`, [...rows, meanRow(rows)]);
  table("every call watched, ns", exactRows(rounds));
}

if (process.argv[2] === "--child") {
  process.stdout.write(JSON.stringify(await child(process.argv[3] ?? "", process.argv[4] ?? "")));
} else {
  main(roundsAsked(3));
}
