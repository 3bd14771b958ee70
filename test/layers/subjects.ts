/** The compositions that every conformance test runs on: each layer alone, recipes, random ones. */
import type { Heap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";
import { wasmMemory } from "#src/memory/index.js";
import { createSizeClassHeap } from "#src/sizeclass/index.js";
import { Random } from "../support/random.js";

export interface Subject {
  name: string;
  /** A pool over the heap, or over a memory of its own. */
  create(heap: Heap): L.Pool;
}

type AnyLayer = (source: L.Pool) => L.Pool;

/** Erases the types: each composition below has a source with the traits that it needs. */
function any(layer: unknown): AnyLayer {
  return layer as AnyLayer;
}

function word(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

const oneLayer: Record<string, () => AnyLayer> = {
  aligned: () => any(L.aligned(1024)),
  batch: () => any(L.batch()),
  bypass: () => any(L.bypass()),
  check: () => any(L.check()),
  chunk: () => any(L.chunk(16384)),
  coalescing: () => any(L.coalescing()),
  "coalescing in small arenas": () => any(L.coalescing(4096)),
  fill: () => any(L.fill()),
  freelist: () => any(L.freelist(256)),
  "bounded freelist": () => any(L.freelist(4096, { bound: 3 })),
  ground: () => any(L.ground()),
  header: () => any(L.header()),
  limit: () => any(L.limit(2 ** 31)),
  log: () => any(L.log(() => {})),
  segregated: () => any(L.segregated()),
  "segregated up to 100": () => any(L.segregated(100)),
  stats: () => any(L.stats()),
  zeroing: () => any(L.zeroing()),
  zone: () => any(L.zone()),
  buddy: () => (source) => L.buddy()(L.aligned(65536)(source)),
  hybrid: () => (source) =>
    L.hybrid(500, L.pipe(source, L.ground(), L.segregated(512)), L.stats()(source)),
  fallback: () => (source) =>
    L.fallback(L.pipe(source, L.ground(), L.limit(100000), L.check()), source),
  lock: () => any(L.lock(word())),
  "spin lock": () => any(L.lock(word(), { kind: "spin" })),
  "no lock": () => any(L.lock(new Int32Array(1), { kind: "none" })),
  magazines: () => any(L.magazines({ rounds: 3, depot: 2 })),
  perThread: () => any(L.perThread(L.kingsley, { self: 0, threads: 1, mail: word() })),
  quarantine: () => any(L.quarantine({ bytes: 4096 })),
  randomised: () => any(L.randomised()),
  trace: () => any(L.trace(() => {})),
  unique: () => any(L.unique(L.lea)),
  slab: () => (source) => L.slab()(L.aligned(65536)(source)),
  "fallback from nothing": () => (source) => L.fallback(L.pipe(source, L.nothing()), source),
};

const recipes: Record<string, () => AnyLayer> = {
  kingsley: () => any(L.kingsley),
  arena: () => any(L.arena),
  lea: () => any(L.lea),
  bonwick: () => (source) => L.bonwick(L.aligned(65536)(source)),
  dieHard: () => any(L.dieHard),
};

/** Each layer and recipe over a heap. */
export const alone: Subject[] = Object.entries({ ...oneLayer, ...recipes }).map(([name, make]) => ({
  name,
  create: (heap) => make()(L.std(heap)),
}));

/** Sources with a memory of their own. */
const sources: Subject[] = [
  { name: "std", create: (heap) => L.std(heap) },
  { name: "sbrk", create: () => L.sbrk(wasmMemory()) },
  { name: "slices", create: () => L.slices(wasmMemory()) },
  { name: "mmap", create: (heap) => L.mmap(heap) },
  { name: "buddy over mmap", create: (heap) => L.pipe(L.mmap(heap), L.buddy()) },
  { name: "bonwick over mmap", create: (heap) => L.bonwick(L.mmap(heap)) },
  { name: "bonwick over slices", create: () => L.bonwick(L.slices(wasmMemory())) },
  {
    name: "chunk, lock and magazines over sharedBump",
    // The magazines keep every size: what passes them is lost when it is put, and the memory ends.
    create: () => {
      const source = L.sharedBump(new SharedArrayBuffer(2 ** 26), word());
      return L.pipe(source, L.lock(word()), L.chunk(), L.magazines({ largest: 2 ** 19 }));
    },
  },
  { name: "kingsley over sbrk", create: () => L.kingsley(L.sbrk(wasmMemory())) },
  { name: "buddy over slices", create: () => L.pipe(L.slices(wasmMemory()), L.buddy()) },
  { name: "lea over slices", create: () => L.lea(L.slices(wasmMemory())) },
  { name: "size classes", create: () => L.std(createSizeClassHeap()) },
  { name: "kingsley over size classes", create: () => L.kingsley(L.std(createSizeClassHeap())) },
  {
    name: "the region library's example",
    create: () =>
      L.pipe(L.slices(wasmMemory()), L.stats(), L.check(), L.batch(), L.chunk(4096), L.stats()),
  },
  {
    name: "an allocator of layers as the heap of others",
    create: (heap) => L.pipe(L.std(L.createAllocator(L.kingsley(L.std(heap)))), L.coalescing()),
  },
];

/** Two to five random layers, without ground, because that stops destroy. */
export function randomSubject(seed: number): Subject {
  const random = new Random(seed);
  const names = Object.keys(oneLayer).filter((name) => name !== "ground");
  const drawn = Array.from(
    { length: random.between(2, 5) },
    () => names[random.below(names.length)] as string,
  );
  return {
    name: `seed ${seed}: ${drawn.join(", ")}`,
    create: (heap) =>
      drawn.reduce<L.Pool>((pool, name) => (oneLayer[name] as () => AnyLayer)()(pool), L.std(heap)),
  };
}

export const fixedSubjects: Subject[] = [...sources, ...alone];
