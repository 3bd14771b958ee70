/**
 * The memory that the two kinds of regions of the size-class allocator take: `npm run
 * bench:regions`. Counts the pages that were written, including those of the allocator's metadata,
 * and the size that the memory grew to.
 */
import { fileURLToPath } from "node:url";
import { createAbi, createHeap } from "#src/heap/index.js";
import { osPages, wasmMemory, withOsPages } from "#src/memory/index.js";
import {
  createSizeClassHeap,
  type SizeClassHeap,
  type SizeClassOptions,
} from "#src/sizeclass/index.js";
import { linearSubject, measureRun, readTrace, type Subject } from "#src/trace/index.js";
import { engine } from "./report.ts";

const MIB = 2 ** 20;
const PAGE_WORDS = 512;

interface Calls {
  malloc(size: number): number;
  free(ptr: number): void;
  readonly u8: Uint8Array;
}

type Make = (maximum?: number) => Calls;

const regions = (options: SizeClassOptions): Make => {
  return (maximum) => createSizeClassHeap({ releaseInterval: -1, maximum, ...options });
};

const subjects: Record<string, Make> = {
  "on demand": regions({ regions: "onDemand" }),
  "on demand, 256 KiB": regions({ regions: "onDemand", regionSize: 2 ** 18 }),
  reserved: regions({ regions: "reserved" }),
  "core heap": (maximum) => createHeap({ maximum }),
};

/** Sizes by a fixed sequence, the same for every subject. */
function sizes(of: (word: number) => number): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return of(state >>> 8);
  };
}

const mixes: Record<string, () => () => number> = {
  "64 bytes": () => () => 64,
  "1 000 bytes": () => () => 1000,
  "1 to 4 096 bytes": () => sizes((word) => 1 + (word % 4096)),
  "1 byte to 64 KiB, small ones more often": () =>
    sizes((word) => 1 + ((word >>> 4) % (1 << (4 + ((word & 15) % 13))))),
  "100 000 bytes": () => () => 100_000,
  "half in blocks of 64, half of 65 000 bytes": () => sizes((word) => (word & 1023 ? 64 : 65_000)),
};

/** Allocates up to `least` bytes or until memory is out; returns the bytes and adds the blocks. */
function fill(
  heap: Calls,
  next: () => number,
  least: number,
  write: boolean,
  blocks: number[] = [],
): number {
  let live = 0;
  while (live < least) {
    const size = next();
    const p = heap.malloc(size);
    if (p === 0) break;
    if (write) heap.u8.fill(1, p, p + size);
    blocks.push(p);
    live += size;
  }
  return live;
}

/** Bytes in pages of 4 KiB that are not all zero. */
function written({ u8 }: Calls): number {
  const words = new Float64Array(u8.buffer);
  let pages = 0;
  for (let at = 0; at < words.length; at += PAGE_WORDS) {
    let i = at;
    while (i < at + PAGE_WORDS && Object.is(words[i], 0)) i++;
    pages += Number(i < at + PAGE_WORDS);
  }
  return pages * 4096;
}

function line(title: string, cells: string[]): void {
  console.log(`  ${title.padEnd(42)}${cells.map((cell) => cell.padStart(20)).join("")}`);
}

function table(title: string, cellOf: (make: Make, mix: string) => string, names: string[]): void {
  console.log(`\n${title}`);
  line("", Object.keys(subjects));
  for (const name of names) {
    line(
      name,
      Object.values(subjects).map((make) => cellOf(make, name)),
    );
  }
}

function memoryOf(heap: Calls, live: number): string {
  const grown = heap.u8.length / MIB;
  return `${(written(heap) / live).toFixed(2)}, ${grown.toFixed(1)} MiB`;
}

/** Three blocks of each class: the cost of a program that uses a little of each size. */
function everyClass(make: Make): string {
  const heap = make();
  const map = createSizeClassHeap().primary.map;
  let live = 0;
  for (let id = 1; id < map.classes; id++) {
    live += fill(heap, () => map.size(id), 3 * map.size(id), true);
  }
  return memoryOf(heap, live);
}

/** A program that frees all of its blocks after each phase, and releases after all but the last. */
function phases(make: Make): string {
  const heap = make() as Calls & Partial<SizeClassHeap>;
  let live = 0;
  for (const size of [64, 1000, 200]) {
    const blocks: number[] = [];
    live = fill(heap, () => size, 16 * MIB, true, blocks);
    if (size === 200) break;
    for (const p of blocks) heap.free(p);
    heap.drain?.();
    heap.primary?.releaseAll();
  }
  const grown = heap.u8.length;
  return `${(grown / live).toFixed(2)}, ${(grown / MIB).toFixed(1)} MiB`;
}

async function traces(): Promise<void> {
  console.log("\nreal programs: pages written for each live byte at the peak, and the memory");
  line("", Object.keys(subjects));
  for (const name of ["perl", "python", "sqlite", "git-repack-3-threads"]) {
    const file = fileURLToPath(new URL(`../../bench/traces/${name}.trace.gz`, import.meta.url));
    const trace = await readTrace(file);
    const cells = Object.values(subjects).map((make) => {
      const heap = make() as Calls & { abi: Omit<Subject, "touch" | "bytes" | "stateBytes"> };
      const subject = linearSubject(
        createAbi(heap),
        () => heap.u8,
        () => 0,
        trace.facts.aligned,
      );
      measureRun(trace, name, subject);
      return memoryOf(heap, trace.facts.peakLiveBytes);
    });
    line(name, cells);
  }
}

/** What is left in physical memory after 64 MiB were freed and released, from the kernel. */
function release(): void {
  console.log("\n64 MiB of 512 to 1 472 bytes, freed and released: MiB in physical memory, and ms");
  for (const [name, options] of Object.entries({
    "on demand": {},
    reserved: { spaceSize: 2 ** 28 },
  })) {
    const memory = withOsPages(wasmMemory({ maximum: 2 ** 29 }));
    const heap = createSizeClassHeap({ memory, releaseInterval: -1, ...options });
    const resident = () => (memory.pages?.resident?.(65536, heap.u8.length - 65536) ?? 0) / MIB;
    const before = resident();
    const blocks: number[] = [];
    for (let i = 0; i < 64 * 1024; i++) {
      const size = 512 + ((i & 15) << 6);
      const p = heap.malloc(size);
      heap.u8.fill(1, p, p + size);
      blocks.push(p);
    }
    const peak = resident();
    for (const p of blocks) heap.free(p);
    heap.drain();
    const start = performance.now();
    heap.primary.releaseAll();
    const time = performance.now() - start;
    const mib = [before, peak, resident()].map((value) => value.toFixed(1)).join(" -> ");
    console.log(`  ${name.padEnd(12)}${mib}, ${time.toFixed(1)} ms`);
  }
}

console.log(engine());
const names = Object.keys(mixes);
table(
  "16 MiB of blocks: pages written for each live byte, and the memory",
  (make, name) => {
    const heap = make();
    const next = (mixes[name] as () => () => number)();
    return memoryOf(heap, fill(heap, next, 16 * MIB, true));
  },
  names,
);
table("three blocks of every class", everyClass, ["32 bytes to 64 KiB"]);
table("16 MiB in each phase: the memory for each byte that is live in the last", phases, [
  "64, then 1 000, then 200 bytes",
]);
await traces();
table(
  "live MiB that fit in a memory of 128 MiB",
  (make, name) => {
    const next = (mixes[name] as () => () => number)();
    return (fill(make(128 * MIB), next, 128 * MIB, false) / MIB).toFixed(1);
  },
  names,
);
if (osPages().available) release();
