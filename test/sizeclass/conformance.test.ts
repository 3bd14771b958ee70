/** One suite, every subject: blocks do not overlap, contents stay, and counters end at 0. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { debug } from "#src/debug/index.js";
import { createAllocator, kingsley, lea, pipe, segregated, std } from "#src/layers/index.js";
import { createSizeClassHeap, type SizeClassHeap, sparseSpace } from "#src/sizeclass/index.js";
import { abiVerbs, profiles, Shadow, step, typedVerbs } from "../support/model.js";
import { Random, seedOf } from "../support/random.js";
import { sizeClassSubjects } from "./subjects.js";

const OPERATIONS = Number(process.env.TERRANE_OPERATIONS ?? 3000);

/** Memories above 2 GiB and buffers of a fixed size are too small for the large profiles. */
function profilesOf(name: string) {
  return /2 GiB|js/.test(name) ? profiles.slice(0, 2) : profiles;
}

for (const subject of sizeClassSubjects.filter((one) => one.name.startsWith("wasm"))) {
  test(`${subject.name}, C's functions: in a random run blocks do not overlap and contents stay`, (t) => {
    const seed = seedOf(7050);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const heap = subject.create();
    const shadow = new Shadow(abiVerbs(heap));
    for (let i = 0; i < OPERATIONS; i++) step(shadow, profiles[1] as (typeof profiles)[0], random);
    assert.equal(shadow.refused, 0);
    shadow.freeAll();
    heap.abi.free(0);
    assertClosed(heap);
  });
}

for (const subject of sizeClassSubjects) {
  test(`${subject.name}: in random runs blocks do not overlap and contents stay`, (t) => {
    for (const [number, profile] of profilesOf(subject.name).entries()) {
      const seed = seedOf(7000 + number);
      t.diagnostic(`${profile.name}: TERRANE_SEED=${seed}`);
      const random = new Random(seed);
      const heap = subject.create();
      const shadow = new Shadow(typedVerbs(heap));
      for (let i = 0; i < OPERATIONS; i++) {
        step(shadow, profile, random);
        if (i % 1000 === 0) assert.ok(heap.primary.isValid());
      }
      assert.equal(shadow.refused, 0);
      assertFound(heap, shadow);
      shadow.checkAll();
      shadow.freeAll();
      assertClosed(heap);
    }
  });
}

/** Every live block is found by any address inside. */
function assertFound(heap: SizeClassHeap, shadow: Shadow): void {
  for (const { p, usable } of shadow.live) {
    assert.equal(heap.blockBegin(p + (usable >>> 1)), p);
    assert.equal(heap.contains(p + usable - 1), true);
  }
}

function assertClosed(heap: SizeClassHeap): void {
  heap.drain();
  assert.ok(heap.primary.isValid());
  for (const one of heap.primary.stats()) {
    assert.equal(one.allocations, one.frees, `chunks of ${one.size} bytes`);
    assert.equal(one.freeChunks, one.chunks);
  }
  assert.equal(heap.stats().large.mappedBytes, 0);
}

test("a memory that is too small refuses, keeps its blocks, and serves again", (t) => {
  const seed = seedOf(7100);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const heap = createSizeClassHeap({ spaceSize: 2 ** 22, granule: 4096, maximum: 2 ** 23 });
  const shadow = new Shadow(typedVerbs(heap));
  const profile = profiles.find((one) => one.name === "mixed") as (typeof profiles)[0];
  for (let i = 0; i < 20000; i++) step(shadow, profile, random);
  assert.ok(shadow.refused > 100, `${shadow.refused} requests were refused`);
  shadow.freeAll();
  assertClosed(heap);
});

test("it serves layers, debug and an allocator of layers", (t) => {
  const seed = seedOf(7200);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const profile = { ...(profiles[1] as (typeof profiles)[0]), live: 150 };
  const heap = createSizeClassHeap();
  const allocators = [
    createAllocator(std(heap)),
    createAllocator(pipe(std(heap), segregated())),
    createAllocator(kingsley(std(heap))),
    createAllocator(lea(std(heap))),
    debug(heap),
  ];
  for (const subject of allocators) {
    const shadow = new Shadow(typedVerbs(subject));
    const random = new Random(seed);
    for (let i = 0; i < 1500; i++) step(shadow, profile, random);
    assert.equal(shadow.refused, 0);
    shadow.freeAll();
    subject.destroy();
  }
  assertClosed(heap);
});

test("sparse: random runs at 2^44 keep blocks apart and whole", (t) => {
  const seed = seedOf(7300);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const space = sparseSpace();
  const a = createSizeClassHeap({ space, shuffle: true, releaseInterval: 0 });
  const live = new Map<number, number>();
  for (let i = 0; i < 20000; i++) {
    if (live.size > 0 && random.chance(live.size / 10)) {
      const p = [...live.keys()][random.below(live.size)] as number;
      const size = live.get(p) as number;
      for (let at = p; at + 4 <= p + size; at += 1024) assert.equal(space.load32(at), at % 2 ** 32);
      a.free(p);
      live.delete(p);
    } else {
      const size = random.skewed(1, 300_000);
      const p = a.malloc(size);
      assert.ok(p > 2 ** 43 && !live.has(p));
      for (let at = p; at + 4 <= p + size; at += 1024) space.store32(at, at % 2 ** 32);
      live.set(p, size);
    }
  }
  const sorted = [...live].sort(([p], [q]) => p - q);
  for (let i = 1; i < sorted.length; i++) {
    const [before, size] = sorted[i - 1] as [number, number];
    assert.ok(before + size <= (sorted[i]?.[0] as number));
  }
  for (const p of live.keys()) a.free(p);
  a.drain();
  a.primary.releaseAll();
  assert.ok(a.primary.isValid());
  for (const one of a.primary.stats()) assert.equal(one.allocations, one.frees);
});
