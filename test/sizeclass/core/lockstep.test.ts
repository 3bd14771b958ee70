/** Lockstep: the wasm and the JavaScript build return the same and write the same bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { wasmMemory } from "#src/memory/index.js";
import {
  createSizeClassHeap,
  type SizeClassHeap,
  type SizeClassOptions,
} from "#src/sizeclass/index.js";
import { Random, seedOf } from "../../support/random.js";
import { tiny } from "../subjects.js";

const OPERATIONS = Number(process.env.TERRANE_OPERATIONS ?? 40_000);

/** Both over WebAssembly.Memory, with a clock that counts calls. */
function pair(options: SizeClassOptions, offset: number, shared: boolean): SizeClassHeap[] {
  return (["wasm", "js"] as const).map((backend) => {
    let now = 0;
    const memory = wasmMemory({ shared, offset });
    return createSizeClassHeap({ backend, memory, shared, now: () => ++now, ...options });
  });
}

type Call = (heap: SizeClassHeap) => number;

function both(heaps: SizeClassHeap[], name: string, call: Call): number {
  const [wasm, js] = heaps.map((heap) => call(heap)) as [number, number];
  assert.equal(js, wasm, name);
  return wasm;
}

function step(heaps: SizeClassHeap[], random: Random, live: number[]): void {
  const dice = random.below(100);
  const size = random.skewed(1, random.chance(3) ? 400_000 : 20_000) - 1;
  if (dice < 45 || live.length === 0) {
    const p = both(heaps, `malloc(${size})`, (heap) => heap.malloc(size));
    if (p !== 0) live.push(p);
  } else if (dice < 50) {
    const alignment = 2 ** random.between(0, 17);
    const p = both(heaps, `memalign(${alignment}, ${size})`, (heap) =>
      heap.memalign(alignment, size),
    );
    if (p !== 0) live.push(p);
  } else if (dice < 60) {
    const at = random.below(live.length);
    const p = both(heaps, `realloc to ${size}`, (heap) => heap.realloc(live[at] as number, size));
    if (p !== 0) live[at] = p;
  } else if (dice < 65) {
    const p = random.chance(50) ? (live[random.below(live.length)] as number) + 5 : random.u32();
    both(heaps, "blockBegin", (heap) => heap.blockBegin(p));
    both(heaps, "metadata", (heap) => heap.metadata(p));
  } else {
    const [p] = live.splice(random.below(live.length), 1) as [number];
    both(heaps, "usableSize", (heap) => heap.usableSize(p));
    for (const heap of heaps) heap.free(p);
  }
}

function assertSame(heaps: SizeClassHeap[]): void {
  const [wasm, js] = heaps.map((heap) => Buffer.from(heap.buffer)) as [Buffer, Buffer];
  assert.equal(js.length, wasm.length);
  if (Buffer.compare(js, wasm) === 0) return;
  const at = js.findIndex((byte, i) => byte !== wasm[i]);
  assert.fail(`byte ${at}: wasm ${wasm[at]}, js ${js[at]}`);
}

const demanding: SizeClassOptions = {
  shuffle: true,
  seed: 5,
  metadataSize: 16,
  releaseInterval: 3,
};
const places: [string, SizeClassOptions, number][] = [
  ["regions on demand", {}, 65536],
  ["on demand, shuffled, metadata, released", demanding, 65536],
  ["on demand, above 2 GiB", { map: "default" }, 2 ** 31 + 65536],
  ["the usual space", { regions: "reserved" }, 65536],
  ["a tiny space, shuffled", { ...tiny, shuffle: true, seed: 99 }, 65536],
  [
    "a tiny space with metadata, released",
    { ...tiny, metadataSize: 32, releaseInterval: 3 },
    65536,
  ],
  ["the default map", { map: "default", freeArray: 2, spaceSize: 2 ** 25 }, 65536],
  ["a space above 2 GiB", tiny, 2 ** 31 + 65536],
];

for (const shared of [false, true]) {
  for (const [name, options, offset] of places) {
    test(`${shared ? "shared" : "single"}, ${name}`, (t) => {
      const seed = seedOf(7400);
      t.diagnostic(`TERRANE_SEED=${seed}`);
      const random = new Random(seed);
      const heaps = pair(options, offset, shared);
      const live: number[] = [];
      for (let i = 0; i < OPERATIONS && live.length < 3000; i++) step(heaps, random, live);
      assert.equal(heaps[0]?.printStats(), heaps[1]?.printStats());
      for (const heap of heaps) for (const p of live) heap.free(p);
      for (const heap of heaps) heap.drain();
      for (const heap of heaps) heap.primary.releaseAll();
      assert.equal(heaps[0]?.printStats(), heaps[1]?.printStats());
      assert.ok(heaps.every((heap) => heap.primary.isValid()));
      if (offset < 2 ** 30) assertSame(heaps);
    });
  }
}
