/**
 * What OS pages cost: the release of 256 MiB, and one guarded allocation in 1 000 compared with the
 * heap alone, called from JavaScript and from wasm. Each measurement has a process of its own, and
 * subjects alternate. Times are processor time, which a busy machine changes little.
 * To run: npm run bench:os -- [ROUNDS]
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type GuardedOptions, guarded } from "#src/debug/index.js";
import { createAbi, createHeap } from "#src/heap/index.js";
import { osPages, withOsPages } from "#src/memory/index.js";
import { anyHeap } from "../test/support/any-heap.js";
import type { Allocator, Mode } from "./allocators.ts";
import { roundsAsked } from "./driver.ts";
import { programs, programTime } from "./guarded-programs.ts";
import { measure } from "./measure.ts";
import { geometricMean, median } from "./stats.ts";

const WORKLOADS = ["cfrac", "larson", "replace_1000", "alloc_test"];

/**
 * A heap that can release, with guards or without. From JavaScript the calls of the heap are
 * measured, which handle guarded blocks as those of the guarded allocator do.
 */
function heapAllocator(name: string, mode: string, options?: GuardedOptions): Allocator {
  return {
    name,
    modes: ["js", "wasm"],
    available: true,
    instantiate: async () => {
      const heap = createHeap({ release: withOsPages });
      if (options) guarded(heap, { seed: 1, onReport: "throw", ...options });
      const typed = {
        malloc: (size: number) => heap.malloc(size),
        free: (block: number) => heap.free(block),
        realloc: (block: number, size: number) => heap.realloc(block, size),
        calloc: (count: number, size: number) => heap.calloc(count, size),
        memalign: (alignment: number, size: number) => heap.memalign(alignment, size),
      };
      if (mode === "js") return { memory: heap.source, exports: typed };
      return { memory: heap.memory as WebAssembly.Memory, exports: createAbi(heap) };
    },
  };
}

const guards: Record<string, GuardedOptions> = {
  "1/1000": {},
  "1/1000, no stacks": { stackTraceFrames: 0 },
  "1/1000, no limit": { mostPerSecond: 0 },
};

function subjectOf(name: string, mode: string): Allocator {
  return heapAllocator(name, mode, guards[name]);
}

function milliseconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const CALLS = 5000;

/** Microseconds of malloc and free of a guarded block. */
function pairTime(options: GuardedOptions): number {
  const allocator = guarded(createHeap({ release: withOsPages }), { ...options, every: 1 });
  const pairs = () => {
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS; i++) allocator.free(allocator.malloc(100));
    return (1000 * milliseconds(before)) / CALLS;
  };
  pairs();
  return median([pairs(), pairs(), pairs()]);
}

const REGION = 2 ** 28;
const RELEASES = 7;

/** Milliseconds of several purges of 256 MiB that were written. */
function releaseTimes(shared: boolean, huge: boolean): number[] {
  const heap = anyHeap({ shared, release: withOsPages, initial: 2 * REGION } as { shared: true });
  const os = osPages();
  if (huge && os.available) os.hugePages(os.addressOf(heap.buffer), heap.buffer.byteLength);
  return Array.from({ length: RELEASES }, () => {
    const ptr = heap.memalign(2 ** 21, REGION);
    heap.u8.fill(1, ptr, ptr + REGION);
    heap.free(ptr);
    const before = process.cpuUsage();
    heap.purge(true);
    const time = milliseconds(before);
    if (heap.source.pages?.resident?.(ptr, REGION) !== 0)
      throw new Error("the memory is still resident");
    return time;
  });
}

const releases: Record<string, () => number[]> = {
  memory: () => releaseTimes(false, false),
  "shared memory": () => releaseTimes(true, false),
  "memory in huge pages": () => releaseTimes(false, true),
};

async function child(what: string, mode: string, workload: string): Promise<number> {
  if (mode === "release") return median((releases[what] as () => number[])());
  if (mode === "pair") return pairTime(guards[what] as GuardedOptions);
  if (mode === "program") return await programTime(workload, guards[what]);
  const before = process.cpuUsage();
  await measure(subjectOf(what, mode), workload, mode as Mode);
  return milliseconds(before);
}

function run(...what: string[]): number {
  const self = fileURLToPath(import.meta.url);
  const args = ["--expose-gc", "--no-warnings", self, "--child", ...what];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

function print(cells: (string | number)[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** Milliseconds of the heap alone, and the ratios of each guarded one to it. */
function ratioRow(workload: string, mode: string, rounds: number): number[] {
  const names = ["bare", ...Object.keys(guards)];
  const taken = Array.from({ length: rounds }, () =>
    names.map((name) => run(name, mode, workload)),
  );
  const ratios = names
    .slice(1)
    .map((_, index) =>
      median(taken.map((times) => (times[index + 1] as number) / (times[0] as number))),
    );
  const row = [median(taken.map(([time]) => time as number)), ...ratios];
  print([mode, workload, (row[0] as number).toFixed(0), ...ratios.map((r) => r.toFixed(3))]);
  return ratios;
}

function main(rounds: number): void {
  console.log(`node ${process.version}, ${rounds} rounds`);
  print(["release of 256 MiB", "ms"]);
  for (const name of Object.keys(releases)) {
    const times = Array.from({ length: rounds }, () => run(name, "release", ""));
    print([name, median(times).toFixed(1)]);
  }
  print(["a guarded malloc and free", "us"]);
  for (const name of Object.keys(guards).slice(0, 2)) {
    const times = Array.from({ length: rounds }, () => run(name, "pair", ""));
    print([name, median(times).toFixed(1)]);
  }
  print(["from", "workload", "bare ms", ...Object.keys(guards)]);
  for (const program of Object.keys(programs)) ratioRow(program, "program", rounds);
  for (const mode of ["wasm", "js"]) {
    const rows = WORKLOADS.map((workload) => ratioRow(workload, mode, rounds));
    const means = Object.keys(guards).map((_, i) => geometricMean(rows.map((r) => r[i] as number)));
    print([mode, "geometric mean", "", ...means.map((mean) => mean.toFixed(3))]);
  }
}

if (process.argv[2] === "--child") {
  const [, , , what = "", mode = "", workload = ""] = process.argv;
  process.stdout.write(String(await child(what, mode, workload)));
} else {
  main(roundsAsked(3));
}
