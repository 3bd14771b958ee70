/** One suite for every backing allocator: correct programs, of which nothing may be reported. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugAllocator, type DebugOptions, debug, failRandomly } from "#src/debug/index.js";
import type { BackEnd } from "#src/heap/calls/contract.js";
import { createHeap } from "#src/heap/index.js";
import { createAllocator, limit, pipe, std } from "#src/layers/index.js";
import { anyHeap } from "../support/any-heap.js";
import { type Profile, profiles, Shadow, step, typedVerbs, type Verbs } from "../support/model.js";
import { Random, seedOf } from "../support/random.js";
import { backings } from "./report/backings.js";

const OPERATIONS = Number(process.env.TERRANE_OPERATIONS ?? 800);
/** Operations of the one long run, which only checks that nothing is reported. */
const CORRECT = Number(process.env.TERRANE_CORRECT_OPERATIONS ?? 300_000);

function abiVerbs(heap: DebugAllocator): Verbs {
  const { abi } = heap;
  return {
    malloc: (size) => abi.malloc(size),
    calloc: (count, size) => abi.calloc(count, size),
    memalign: (alignment, size) => abi.aligned_alloc(alignment, size),
    realloc: (p, size) => abi.realloc(p, size),
    free: (p) => abi.free(p),
    usableSize: (p) => abi.malloc_usable_size(p),
    bytes: () => heap.u8,
  };
}

const quiet: DebugOptions = { stackTraceFrames: 2, reportAtExit: false, onReport: "throw" };

/** Random operations; at the end the counts agree and the backing allocator has everything back. */
function run(heap: DebugAllocator, verbs: Verbs, profile: Profile, seed: number, count: number) {
  const random = new Random(seed);
  const shadow = new Shadow(verbs);
  for (let i = 0; i < count; i++) step(shadow, profile, random);
  heap.check();
  shadow.checkAll();
  const requested = shadow.live.reduce((sum, { size }) => sum + size, 0);
  const { blocks, requestedBytes } = heap.stats();
  assert.deepEqual([blocks, requestedBytes], [shadow.live.length, requested]);
  shadow.freeAll();
  assert.equal(heap.destroy(), "ok");
  const { residentBytes } = heap.stats();
  assert.equal(residentBytes, 0);
  return shadow;
}

for (const [row, backing] of backings.entries()) {
  for (const backend of ["wasm", "js"] as const) {
    test(`over ${backing.name}, ${backend}: random runs keep blocks apart and report nothing`, (t) => {
      for (const [number, profile] of profiles.entries()) {
        const seed = seedOf(9200 + 10 * row + number);
        t.diagnostic(`${profile.name}: TERRANE_SEED=${seed}`);
        const heap = debug(backing.create(backend), quiet);
        const verbs = number % 2 === 0 ? typedVerbs(heap) : abiVerbs(heap);
        const shadow = run(heap, verbs, profile, seed, OPERATIONS);
        assert.equal(shadow.refused, 0);
      }
    });
  }
}

/** Ways for a backing allocator to have no memory: now and then, from some size on, both. */
const poor: [
  string,
  (backend: BackEnd, seed: number) => NonNullable<DebugOptions["backingAllocator"]>,
][] = [
  ["that fails now and then", (backend, seed) => failRandomly(anyHeap({ backend }), 0.2, seed)],
  ["with little memory", (backend) => anyHeap({ backend, maximum: 2 ** 20 })],
  ["on a budget", (backend) => createAllocator(pipe(std(anyHeap({ backend })), limit(200_000)))],
];

for (const [name, create] of poor) {
  for (const backend of ["wasm", "js"] as const) {
    for (const neverUnmap of [false, true]) {
      const how = neverUnmap ? ", never unmapping" : "";
      test(`over a ${backend} heap ${name}${how}: requests that can be met are, and nothing is reported`, (t) => {
        let refused = 0;
        for (const [number, profile] of profiles.entries()) {
          const seed = seedOf(9300 + number);
          t.diagnostic(`${profile.name}: TERRANE_SEED=${seed}`);
          const heap = debug(create(backend, seed), { ...quiet, neverUnmap, retainMetadata: true });
          refused += run(heap, typedVerbs(heap), profile, seed, OPERATIONS).refused;
        }
        assert.ok(refused > 0);
      });
    }
  }
}

test("options that change where blocks lie change no result", (t) => {
  const seed = seedOf(9400);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const variants: DebugOptions[] = [
    { pageSize: 4096 },
    { pageSize: 2 ** 20 },
    { safety: false },
    { quarantine: 0 },
    { retainMetadata: true, quarantine: 0 },
    { resizeStackTraces: true },
    { canary: 0 },
    { canary: 0xaaaaaaaa },
    { verboseLog: () => {} },
  ];
  for (const variant of variants) {
    const heap = debug(createHeap(), { ...quiet, ...variant });
    run(heap, typedVerbs(heap), profiles[1] as Profile, seed, OPERATIONS);
  }
});

test(`nothing is reported on ${CORRECT} correct operations`, (t) => {
  const seed = seedOf(9500);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const heap = debug(createHeap(), quiet);
  const live = new Uint32Array(2000);
  const sizes = new Uint32Array(live.length);
  for (let i = 0; i < CORRECT; i++) {
    const at = random.below(live.length);
    const [ptr, size] = [live[at] as number, random.skewed(1, random.chance(2) ? 20_000 : 600)];
    if (ptr !== 0 && random.chance(80)) {
      if (random.chance(50)) heap.freeSized(ptr, sizes[at] as number, 16);
      else heap.free(ptr);
      live[at] = 0;
      continue;
    }
    const to = ptr === 0 ? heap.malloc(size) : heap.realloc(ptr, size);
    heap.u8.fill(i & 255, to, to + size);
    live[at] = to;
    sizes[at] = size;
    if (i % 100_000 === 0) heap.check();
  }
  for (const ptr of live) heap.free(ptr);
  assert.equal(heap.destroy(), "ok");
});
