/**
 * What layers and regions cost, and what they save: `npm run bench:layers [TABLE…]`. In each round
 * the subjects of a table run one after the other.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createAbi, createHeap, type Heap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";
import { type TreeAllocator, treeCount, treeFree, treeMake } from "../examples/binarytree.ts";
import { documentMake } from "../examples/document.ts";
import { jsonFree, jsonParse } from "../examples/json-parser.ts";
import { allocatorNamed } from "./allocators.ts";
import { engine } from "./report.ts";
import { median, spread } from "./stats.ts";

const ROUNDS = 15;
const DEPTH = 16;

/** Does its work once and returns the nanoseconds of the measured part. */
type Subject = () => number;

interface Row {
  readonly name: string;
  readonly nanoseconds: number;
  readonly spread: number;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) * 1e6;
}

/** Every round begins with another subject, so that drift of the machine affects all equally. */
function measure(subjects: Record<string, Subject>, rounds: number): Row[] {
  const names = Object.keys(subjects);
  const times = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = -3; round < rounds; round++) {
    names.forEach((_, index) => {
      const name = names[(index + round + names.length * 3) % names.length] as string;
      const time = (subjects[name] as Subject)();
      if (round >= 0) times.get(name)?.push(time);
    });
  }
  return names.map((name) => {
    const all = times.get(name) as number[];
    return { name, nanoseconds: median(all), spread: spread(all) };
  });
}

function print(title: string, rows: readonly Row[], unit: number, suffix: string): void {
  console.log(`\n${title}`);
  const best = Math.min(...rows.map((row) => row.nanoseconds));
  for (const { name, nanoseconds, spread: share } of rows) {
    const figure = (nanoseconds / unit).toFixed(1).padStart(9);
    const ratio = (nanoseconds / best).toFixed(2).padStart(6);
    console.log(`  ${name.padEnd(34)}${figure} ${suffix} ${ratio}x  ±${(50 * share).toFixed(0)}%`);
  }
}

function nanosecondsOf(rows: readonly Row[], name: string): number {
  return rows.find((row) => row.name === name)?.nanoseconds ?? Number.NaN;
}

/** Nanoseconds of a get and its put, 500 blocks at a time. */
function pairs(pool: L.Pool): Subject {
  const ptrs = new Uint32Array(500);
  const repeats = 400;
  const run = () => {
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (let i = 0; i < ptrs.length; i++) ptrs[i] = pool.get(16 + (i & 63));
      for (let i = 0; i < ptrs.length; i++) pool.put(ptrs[i] as number, 16 + (i & 63));
    }
  };
  return () => timed(run) / (repeats * ptrs.length);
}

type Make = (source: L.Pool) => L.Pool;

function layersCost(): void {
  const layers: Record<string, Make> = {
    bypass: (source) => L.pipe(source, L.bypass()),
    "bypass x3": (source) => L.pipe(source, L.bypass(), L.bypass(), L.bypass()),
    "stats x3": (source) => L.pipe(source, L.stats(), L.stats(), L.stats()),
    "stats, limit, zeroing": (source) => L.pipe(source, L.stats(), L.limit(2 ** 30), L.zeroing()),
    header: (source) => L.pipe(source, L.header()),
    batch: (source) => L.pipe(source, L.batch()),
    check: (source) => L.pipe(source, L.check()),
    fill: (source) => L.pipe(source, L.fill()),
    freelist: (source) => L.pipe(source, L.freelist(80)),
    magazines: (source) => L.pipe(source, L.magazines({ rounds: 256 })),
    quarantine: (source) => L.pipe(source, L.quarantine({ bytes: 4096 })),
    "lock (uncontended)": (source) =>
      L.pipe(source, L.lock(new Int32Array(new SharedArrayBuffer(4)))),
    kingsley: L.kingsley,
    lea: L.lea,
    randomised: (source) => L.pipe(source, L.randomised()),
  };
  const subjects = Object.entries(layers).map(
    ([name, make]) => [name, pairs(make(L.std(createHeap())))] as const,
  );
  const bonwick = pairs(L.bonwick(L.mmap(createHeap())));
  const rows = measure(
    { "std (no layer)": pairs(L.std(createHeap())), ...Object.fromEntries(subjects), bonwick },
    ROUNDS,
  );
  print("A get and its put, 500 live blocks of 16 to 79 bytes, over the heap", rows, 1, "ns");
  const bare = nanosecondsOf(rows, "std (no layer)");
  for (const name of ["bypass x3", "stats x3", "stats, limit, zeroing"]) {
    const price = (nanosecondsOf(rows, name) - bare) / 6;
    console.log(`  ${name}: ${price.toFixed(1)} ns for each layer and operation (limit: 15)`);
  }
}

/** 1 000 small blocks that are freed together. */
function arenaRequest(heap: Heap): void {
  const blocks = 1000;
  const ptrs = new Uint32Array(blocks);
  const repeats = 200;
  const each = (work: () => void) => () => {
    const all = () => {
      for (let repeat = 0; repeat < repeats; repeat++) work();
    };
    return timed(all) / repeats;
  };
  const rows = measure(
    {
      "heap: malloc and free": each(() => {
        for (let i = 0; i < blocks; i++) ptrs[i] = heap.malloc(16 + (i & 63));
        for (let i = 0; i < blocks; i++) heap.free(ptrs[i] as number);
      }),
      "createAbi(heap) (unchecked)": each(() => {
        const { malloc, free } = createAbi(heap);
        for (let i = 0; i < blocks; i++) ptrs[i] = malloc(16 + (i & 63));
        for (let i = 0; i < blocks; i++) free(ptrs[i] as number);
      }),
      "arena recipe: get and destroy": each(() => {
        const pool = L.arena(L.std(heap));
        for (let i = 0; i < blocks; i++) ptrs[i] = pool.get(16 + (i & 63));
        pool.destroy();
      }),
      "a region of it: malloc and destroy": each(() =>
        L.enter(L.arena, (region) => {
          for (let i = 0; i < blocks; i++) ptrs[i] = region.malloc(16 + (i & 63));
        }),
      ),
    },
    ROUNDS,
  );
  print("1 000 blocks of 16 to 79 bytes, freed together", rows, 1000, "µs");
  const ratio =
    nanosecondsOf(rows, "heap: malloc and free") /
    nanosecondsOf(rows, "arena recipe: get and destroy");
  console.log(`  the arena is ${ratio.toFixed(2)}x as fast as the heap (at least: 3)`);
}

function jsonDrop(): void {
  const bytes = new TextEncoder().encode(documentMake(5e6));
  const drop = (layer: L.RegionLayer, before: (region: L.Region, root: number) => void) => () => {
    const region = L.openRegion(layer);
    const root = jsonParse(bytes, region);
    return timed(() => {
      before(region, root);
      region.destroy();
    });
  };
  const parse = (layer: L.RegionLayer) => () => {
    const region = L.openRegion(layer);
    const time = timed(() => void jsonParse(bytes, region));
    region.destroy();
    return time;
  };
  const big: L.RegionLayer = (source) => L.pipe(source, L.zone(2 ** 20));
  const kept: L.RegionLayer = (source) => L.pipe(source, L.chunk(2 ** 20), L.segregated());
  const rows = measure(
    {
      "node by node, kingsley": drop(kept, (region, root) => jsonFree(root, region)),
      "node by node, core heap": () => {
        const ground = L.getGroundRegion();
        const root = jsonParse(bytes, ground);
        return timed(() => jsonFree(root, ground));
      },
      "the region, zone of 16 KiB": drop(L.arena, () => {}),
      "the region, zone of 1 MiB": drop(big, () => {}),
    },
    7,
  );
  print("Drop of a parsed JSON document of 5 MB, 440 000 values", rows, 1e6, "ms");
  const ratio =
    nanosecondsOf(rows, "node by node, core heap") /
    nanosecondsOf(rows, "the region, zone of 16 KiB");
  console.log(`  the region is ${ratio.toFixed(0)}x as fast (at least: 3)`);
  print(
    "Parse of it",
    measure(
      { "core heap": parse(L.bypass()), arena: parse(L.arena), "zone of 1 MiB": parse(big) },
      7,
    ),
    1e6,
    "ms",
  );
}

/** Trees that are freed node by node, or at once where an allocator can do that. */
async function binaryTrees(): Promise<void> {
  const byNode = (allocator: TreeAllocator) => () =>
    timed(() => {
      const tree = treeMake(allocator, DEPTH);
      treeCount(allocator, tree);
      treeFree(allocator, tree);
    });
  const atOnce = (layer: L.RegionLayer) => () =>
    timed(() => {
      const region = L.openRegion(layer);
      treeCount(region, treeMake(region, DEPTH));
      region.destroy();
    });
  const poolAtOnce = (make: () => L.Allocator) => () =>
    timed(() => {
      using allocator = make();
      treeCount(allocator, treeMake(allocator, DEPTH));
    });
  const heap = createHeap();
  const rows = measure(
    {
      "heap (checked), by node": byNode(heap),
      "heap.abi, by node": byNode(await rawAllocator("terrane")),
      "dlmalloc, by node": byNode(await rawAllocator("dlmalloc")),
      "TLSF, by node": byNode(await rawAllocator("tlsf")),
      "region, core heap, by node": byNode(L.getGroundRegion()),
      "region, arena, at once": atOnce(L.arena),
      "region, zone of 1 MiB, at once": atOnce((source) => L.pipe(source, L.zone(2 ** 20))),
      "arena recipe, at once": poolAtOnce(() => L.createAllocator(L.arena(L.std(heap)))),
    },
    ROUNDS,
  );
  print(`A binary tree of depth ${DEPTH}: made, counted, freed`, rows, 1e6, "ms");
}

/** The functions of an allocator, with a view that is made anew after a growth. */
async function rawAllocator(name: string): Promise<TreeAllocator> {
  const { memory, exports } = await allocatorNamed(name).instantiate();
  let words = new Uint32Array(memory.buffer);
  return {
    malloc: (size) => exports.malloc(size) >>> 0,
    free: (ptr) => void exports.free(ptr),
    get u32() {
      if (words.length === 0) words = new Uint32Array(memory.buffer);
      return words;
    },
  };
}

const tables: Record<string, () => void | Promise<void>> = {
  layers: layersCost,
  arena: () => arenaRequest(createHeap()),
  json: jsonDrop,
  trees: binaryTrees,
};

/** One table in this process, or each in its own: type feedback of one table slows others. */
async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const unknown = positionals.find((name) => !Object.hasOwn(tables, name));
  if (unknown !== undefined) {
    throw new Error(`unknown table: ${unknown}; there are ${Object.keys(tables).join(", ")}`);
  }
  const [only, ...others] = positionals;
  if (only !== undefined && others.length === 0) return tables[only]?.();
  console.log(`${engine()}, ${new Date().toISOString().slice(0, 10)}, medians of rounds in turn`);
  const self = fileURLToPath(import.meta.url);
  for (const name of positionals.length > 0 ? positionals : Object.keys(tables)) {
    execFileSync(process.execPath, [self, name], { stdio: "inherit" });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
});
