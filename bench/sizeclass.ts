/**
 * Time of the size-class allocator compared with the core heap, and of a release:
 * `npm run bench:sizeclass`. The subjects alternate within each round.
 */
import { createAbi, createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { osPages, withOsPages } from "#src/memory/index.js";
import { createHardenedMalloc, createSizeClassHeap } from "#src/sizeclass/index.js";
import { engine } from "./report.ts";
import { median } from "./stats.ts";

const ROUNDS = 15;

interface Verbs {
  malloc(size: number): number;
  free(ptr: number): void;
}

type Work = (heap: Verbs) => number;

/** Live blocks, and rounds of them in one measurement. */
const LIVE = 100;
const REPEATS = 1500;

/** Nanoseconds of processor time, which other programs on the machine change little. */
function timed(work: () => void): number {
  const start = process.cpuUsage();
  work();
  return (process.cpuUsage(start).user * 1e3) / (LIVE * REPEATS);
}

/** Batches of LIVE blocks, freed in the order of their allocation: all from the cache. */
function batches(sizeOf: (i: number) => number): Work {
  const ptrs = new Uint32Array(LIVE);
  const sizes = Uint32Array.from({ length: LIVE }, (_, i) => sizeOf(i));
  return (heap) =>
    timed(() => {
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        for (let i = 0; i < LIVE; i++) ptrs[i] = heap.malloc(sizes[i] as number);
        for (let i = 0; i < LIVE; i++) heap.free(ptrs[i] as number);
      }
    });
}

/** A block, freed at once. */
function pairs(size: number): Work {
  return (heap) =>
    timed(() => {
      for (let i = 0; i < LIVE * REPEATS; i++) heap.free(heap.malloc(size));
    });
}

const works: Record<string, () => Work> = {
  "pairs of 64 bytes": () => pairs(64),
  "batches of 64 bytes": () => batches(() => 64),
  "batches of 16 to 79 bytes": () => batches((i) => 16 + (i & 63)),
  "batches of 16 to 4 096 bytes": () => batches((i) => 16 + ((i * 2654435761) >>> 20)),
};

/** Nanoseconds of a malloc and its free, of each subject, as medians of the rounds. */
function compare(subjects: Record<string, () => Verbs>): void {
  const names = Object.keys(subjects);
  const [base = ""] = names;
  for (const [title, make] of Object.entries(works)) {
    const made = names.map((name) => [name, subjects[name]?.() as Verbs, make()] as const);
    const times = new Map(names.map((name) => [name, [] as number[]]));
    for (let round = -4; round < ROUNDS; round++) {
      made.forEach((_, index) => {
        const at = (index + round + made.length * 4) % made.length;
        const [name, heap, work] = made[at] as (typeof made)[0];
        const time = work(heap);
        if (round >= 0) times.get(name)?.push(time);
      });
    }
    console.log(`\n${title}`);
    const best = median(times.get(base) as number[]);
    for (const name of names) {
      const time = median(times.get(name) as number[]);
      const figure = time.toFixed(1).padStart(8);
      console.log(`  ${name.padEnd(40)}${figure} ns ${(time / best).toFixed(2).padStart(6)}x`);
    }
  }
}

/** Both through their checked APIs, which check every argument and every pointer. */
function fastPath(): void {
  compare({
    "core heap (wasm)": () => createHeap(),
    "size class (wasm)": () => createSizeClassHeap({ releaseInterval: -1 }),
    "size class (wasm, reserved)": () =>
      createSizeClassHeap({ releaseInterval: -1, regions: "reserved" }),
    "core heap (wasm), abi": () => createAbi(createHeap()),
    "size class (wasm), abi": () => createSizeClassHeap({ releaseInterval: -1 }).abi,
    "size class (wasm, reserved), abi": () =>
      createSizeClassHeap({ releaseInterval: -1, regions: "reserved" }).abi,
    "size class (wasm, default map)": () =>
      createSizeClassHeap({ releaseInterval: -1, map: "default" }),
    "core heap (js)": () => createHeap({ backend: javascript }),
    "size class (js)": () => createSizeClassHeap({ releaseInterval: -1, backend: "js" }),
    "core heap (wasm, shared)": () => createSharedHeap(),
    "size class (wasm, shared)": () => createSizeClassHeap({ releaseInterval: -1, shared: true }),
    "hardened malloc": () => createHardenedMalloc({ releaseInterval: -1 }),
    "hardened malloc, quarantine of 256 KiB": () =>
      createHardenedMalloc({
        releaseInterval: -1,
        quarantineSizeKb: 256,
        threadLocalQuarantineSizeKb: 64,
      }),
  });
}

/** A release of a region of 64 MiB, the largest in linear memory, all of whose chunks are free. */
function release(pages: boolean): void {
  const what = pages ? "with the pages of the system" : "bookkeeping only";
  console.log(`\nrelease of a region of 64 MiB, ${what}`);
  for (const size of [32, 64, 1024, 4096]) {
    const times: number[] = [];
    let bytes = 0;
    for (let round = 0; round < 3; round++) {
      const heap = createSizeClassHeap({
        spaceSize: 2 ** 31,
        shuffle: true,
        releaseInterval: -1,
        release: pages && withOsPages,
      });
      const id = heap.primary.map.id(size);
      const count = Math.floor(((heap.primary.regionBytes / 8) * 7) / size);
      const chunks = heap.primary.getFrom(id, count);
      for (const p of chunks) heap.u8[p] = 1;
      heap.primary.returnTo(id, chunks);
      const start = performance.now();
      heap.primary.releaseAll();
      times.push(performance.now() - start);
      bytes = count * size;
      heap.destroy();
    }
    const time = median(times);
    const whole = (time * 2 ** 28) / bytes;
    console.log(`  chunks of ${size}: ${time.toFixed(1)} ms, ${whole.toFixed(1)} ms for 256 MiB`);
  }
}

console.log(engine());
fastPath();
release(false);
if (osPages().available) release(true);
