/**
 * One suite, every subject: whatever memory and back end a heap stands on, through the checked API
 * and through the C ABI.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type HardeningFeature, hardeningFeatures } from "#src/heap/hardening.js";
import type { Heap } from "#src/heap/index.js";
import { type AnyHeapOptions, anyHeap } from "../support/any-heap.js";
import { type HeapSubject, heapSubjects, missingSubjects } from "../support/heaps.js";
import { abiVerbs, profiles, Shadow, step, typedVerbs, type Verbs } from "../support/model.js";
import { Random, seedOf } from "../support/random.js";

const OPERATIONS = Number(process.env.TERRANE_OPERATIONS ?? 4000);

const doors: [string, (heap: Heap) => Verbs][] = [
  ["typed", typedVerbs],
  ["abi", abiVerbs],
];

/** Above 2 GiB a growth refuses or moves gigabytes for a fixed buffer: large profiles stay out. */
function profilesOf(subject: HeapSubject) {
  return subject.name.includes("2 GiB") ? profiles.slice(0, 2) : profiles;
}

for (const subject of heapSubjects) {
  for (const [door, verbs] of doors) {
    test(`${subject.name}, ${door}: random runs keep blocks apart and statistics at zero`, (t) => {
      for (const [number, profile] of profilesOf(subject).entries()) {
        const seed = seedOf(2000 + number);
        t.diagnostic(`${profile.name}: TERRANE_SEED=${seed}`);
        const random = new Random(seed);
        const heap = subject.create();
        const shadow = new Shadow(verbs(heap));
        for (let i = 0; i < OPERATIONS; i++) step(shadow, profile, random);
        assert.equal(heap.stats().blocks, shadow.live.length);
        assertWalk(heap, shadow);
        shadow.freeAll();
        heap.collect();
        const { blocks, pages, pageBytes, blockBytes } = heap.stats();
        assert.deepEqual([blocks, pages, pageBytes, blockBytes], [0, 0, 0, 0]);
      }
    });
  }

  test(`${subject.name}: a small block, a medium one, a large one, and their neighbours`, () => {
    const heap = subject.create();
    for (const size of [0, 1, 8, 9, 16, 1024, 1025, 16384, 16385, 65536, 65537, 1 << 20]) {
      const [a, b] = [heap.malloc(size), heap.zalloc(size)];
      assert.notEqual(a, 0);
      assert.notEqual(a, b);
      assert.ok(heap.usableSize(a) >= size);
      assert.equal(heap.usableSize(a), heap.goodSize(size));
      heap.u8.fill(0xff, a, a + heap.usableSize(a));
      assert.ok(heap.u8.subarray(b, b + size).every((byte) => byte === 0));
      heap.free(a);
      heap.free(b);
    }
    assert.equal(heap.stats().blocks, 0);
  });

  test(`${subject.name}: what lies below the heap is never written`, () => {
    const heap = subject.create();
    const { start } = heap.source;
    const from = Math.max(0, start - 65536);
    const before = heap.u8.slice(from, start);
    for (let i = 0; i < 500; i++) heap.malloc(i * 37);
    assert.deepEqual(heap.u8.slice(from, start), before);
  });
}

/** Operations of one run of one profile of hardening; there are some hundred. */
const HARD_OPERATIONS = OPERATIONS / 10;

function hardenings(): [name: string, features: readonly HardeningFeature[]][] {
  const others = (each: HardeningFeature) => hardeningFeatures.filter((one) => one !== each);
  return [
    ["nothing on", []],
    ...hardeningFeatures.map((each): [string, HardeningFeature[]] => [each, [each]]),
    ...hardeningFeatures.map((each): [string, HardeningFeature[]] => [
      `all but ${each}`,
      others(each),
    ]),
    ["all", hardeningFeatures],
  ];
}

/** The other places of the core are compared with this one in lockstep, feature by feature. */
const everywhere: AnyHeapOptions[] = [{}, { backend: "js" }, { shared: true }];

for (const [what, features] of hardenings()) {
  for (const place of what === "all" ? everywhere : [{}]) {
    const name = `${place.backend ?? "wasm"}${place.shared ? ", shared" : ""}`;
    test(`${name}, hardened, ${what}: random runs without a report, with both APIs`, (t) => {
      for (const [number, profile] of profiles.entries()) {
        const seed = seedOf(2100 + number);
        t.diagnostic(`${profile.name}: TERRANE_SEED=${seed}`);
        const random = new Random(seed);
        const heap = anyHeap({
          ...place,
          hardened: { features },
          onError: (...what) => assert.fail(`${what}`),
        });
        const shadow = new Shadow(number % 2 === 0 ? typedVerbs(heap) : abiVerbs(heap));
        for (let i = 0; i < HARD_OPERATIONS; i++) step(shadow, profile, random);
        assert.equal(heap.stats().blocks, shadow.live.length);
        assertWalk(heap, shadow);
        shadow.freeAll();
        heap.collect();
        assert.equal(heap.stats().pageBytes, 0);
      }
    });
  }
}

/** The walk shows each live block once; an aligned pointer lies inside its block. */
function assertWalk(heap: Heap, shadow: Shadow): void {
  const live = shadow.live.map((block) => block.p).sort((a, b) => a - b);
  let index = 0;
  heap.visitBlocks((ptr, size) => {
    const p = live[index++] as number;
    assert.ok(ptr <= p && p < ptr + size, `${p} is not in the block of ${size} at ${ptr}`);
  });
  assert.equal(index, live.length);
}

test("subjects that this engine cannot have", (t) => {
  for (const reason of missingSubjects) t.diagnostic(reason);
  assert.ok(heapSubjects.length + missingSubjects.length >= 13);
});
