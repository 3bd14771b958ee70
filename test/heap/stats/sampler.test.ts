/** registerSampler: the right share of bytes, at the right pointers, in every kind of heap. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAbi, type Heap, registerSampler, setStatsLevel } from "#src/heap/index.js";
import { type AnyHeapOptions, anyHeap, attachAny } from "../../support/any-heap.js";
import { type HeapMake, placesOf, testPlaces } from "../../support/places.js";
import { Random, seedOf } from "../../support/random.js";

const places: [string, AnyHeapOptions][] = [
  ...placesOf(2 ** 27),
  ["wasm, hardened", { hardened: { seed: 1 }, maximum: 2 ** 27 }],
  ["js, hardened, shared", { hardened: {}, shared: true, backend: "js", maximum: 2 ** 27 }],
];

function everywhere(name: string, body: (make: HeapMake) => void): void {
  testPlaces(places, name, body);
}

/** What a sampler says of kinds of blocks, beside what was allocated of them. */
interface Share {
  sampled: number;
  allocated: number;
}

/** A sum of n samples of `every` bytes each strays by the square root of n of them. */
function assertShare({ sampled, allocated }: Share, every: number, what: string): void {
  const sigma = Math.sqrt(allocated / every) * every;
  const off = Math.abs(sampled - allocated) / sigma;
  assert.ok(off < 5, `${what}: ${sampled} sampled of ${allocated} bytes, ${off.toFixed(1)} sigma`);
}

/** Many allocations of sizes of each kind; blocks die soon. */
function churn(heap: Heap, kinds: number[], count: number, random: Random, shares: Share[]): void {
  const live: number[] = [];
  for (let i = 0; i < count; i++) {
    const kind = random.below(kinds.length);
    const size = random.below(kinds[kind] as number);
    (shares[kind] as Share).allocated += size;
    now = kind;
    live.push(
      random.below(2) === 0 ? heap.malloc(size) : (createAbi(heap).malloc(size) ?? 0) >>> 0,
    );
    if (live.length > 100) heap.free(live.splice(random.below(100), 1)[0] as number);
  }
  for (const p of live) heap.free(p);
}

let now = 0;

for (const [kind, options] of [
  ["Poisson", {}],
  ["fixed", { fixed: true }],
] as const) {
  everywhere(`${kind}: samples stand for the bytes of each site, small and large`, (make) => {
    const heap = make();
    const seed = seedOf(8);
    const kinds = [40, 600, 4000, 20_000, 100_000];
    const shares = kinds.map((): Share => ({ sampled: 0, allocated: 0 }));
    const every = 4096;
    registerSampler(
      heap,
      every,
      (ptr, size, bytes) => {
        assert.ok(heap.contains(ptr) && heap.usableSize(ptr) >= size);
        assert.equal(bytes % every, 0);
        (shares[now] as Share).sampled += bytes;
      },
      { seed, ...options },
    );
    churn(heap, kinds, 20_000, new Random(seed), shares);
    for (const [i, share] of shares.entries()) assertShare(share, every, `site ${i}`);
    const sum = (of: keyof Share) => shares.reduce((total, share) => total + share[of], 0);
    const total = { sampled: sum("sampled"), allocated: sum("allocated") };
    if (kind === "fixed") assert.ok(Math.abs(total.sampled - total.allocated) < every);
    else assertShare(total, every, "all");
    assert.equal(heap.stats().blocks, 0);
  });
}

everywhere("every byte a sample: each block is told of, with the pointer its user gets", (make) => {
  const heap = make();
  const seen: [number, number, number][] = [];
  registerSampler(heap, 1, (...sample) => seen.push(sample), { fixed: true });
  const own = heap.newHeap();
  const expected: [number, number, number][] = [];
  const expect = (ptr: number, size: number) => expected.push([ptr, size, size]);
  for (const size of [1, 8, 100, 1024, 1025, 5000, 9000, 60_000, 70_000, 300_000]) {
    expect(heap.malloc(size), size);
    expect(heap.zalloc(size), size);
    expect(own.malloc(size), size);
    expect(heap.memalignAt(256, size, 8), size);
    expect(heap.memalign(2 ** 18, size), size);
    expect(heap.newAligned(size, 32), size);
  }
  const p = heap.malloc(10);
  expect(p, 10);
  expect(heap.realloc(p, 500), 500);
  for (const [i, [ptr, size, bytes]] of expected.entries()) {
    const [at, asked, stands] = seen[i] as [number, number, number];
    assert.equal(at, ptr);
    // An alignment that the size class has anyway is a plain request for a rounded size.
    assert.ok(
      asked >= size && asked <= heap.usableSize(ptr) && stands === asked,
      `${asked}, ${bytes}`,
    );
  }
  assert.equal(seen.length, expected.length);
  registerSampler(heap, undefined);
  heap.malloc(100);
  assert.equal(seen.length, expected.length);
});

everywhere("freed: each sampled block is told of once, however it goes", (make) => {
  const heap = make();
  const live = new Set<number>();
  let ended = 0;
  registerSampler(
    heap,
    500,
    (ptr) => {
      assert.ok(!live.has(ptr));
      live.add(ptr);
    },
    {
      seed: 5,
      freed: (ptr) => {
        ended += 1;
        assert.ok(live.delete(ptr));
      },
    },
  );
  const random = new Random(seedOf(9));
  const own = heap.newHeap();
  const blocks: number[] = [];
  for (let i = 0; i < 5000; i++) {
    const size = random.below(random.below(8) === 0 ? 90_000 : 3000);
    const roll = random.below(10);
    if (roll < 4) blocks.push(heap.malloc(size));
    else if (roll === 4) blocks.push(heap.memalignAt(64, size, 24));
    else if (roll === 5) own.malloc(size);
    else if (blocks.length > 0) {
      const at = random.below(blocks.length);
      const [p] = blocks.splice(at, 1) as [number];
      if (roll < 8) heap.free(p);
      else if (roll === 8) createAbi(heap).free(p);
      else blocks.push(heap.realloc(p, size));
    }
  }
  assert.ok(ended > 500, `${ended}`);
  own.destroy();
  for (const p of blocks) heap.free(p);
  assert.equal(live.size, 0);
  assert.equal(heap.stats().blocks, 0);
});

everywhere("statistics and samples together, begun and ended in turns", (make) => {
  const heap = make();
  const share: Share = { sampled: 0, allocated: 0 };
  const every = 1000;
  registerSampler(heap, every, (_ptr, _size, bytes) => (share.sampled += bytes), { seed: 4 });
  for (let i = 0; i < 30_000; i++) {
    if (i % 3000 === 1000) setStatsLevel(heap, 1);
    if (i % 3000 === 2000) setStatsLevel(heap, 0);
    share.allocated += i % 200;
    heap.free(heap.malloc(i % 200));
  }
  assertShare(share, every, "all");
  setStatsLevel(heap, 2);
  registerSampler(heap, undefined);
  heap.malloc(10);
  assert.equal(heap.stats().sizes?.normal.blocks.total, 1);
});

everywhere("what the function allocates is not a sample; what it throws ends the call", (make) => {
  const heap = make();
  let calls = 0;
  registerSampler(
    heap,
    10,
    () => {
      calls += 1;
      heap.free(heap.malloc(5000));
      if (calls === 3) throw new Error("mine");
    },
    { fixed: true },
  );
  heap.malloc(10);
  heap.malloc(10);
  assert.throws(() => heap.malloc(10), /^Error: mine$/);
  heap.malloc(10);
  assert.equal(calls, 4);
});

everywhere("the same seed makes the same samples; another one others", (make) => {
  const run = (seed: number | undefined) => {
    const heap = make();
    const seen: number[] = [];
    let now = 0;
    registerSampler(heap, 2000, () => seen.push(now), { seed });
    for (now = 0; now < 2000; now++) heap.malloc(now % 500);
    return seen;
  };
  assert.deepEqual(run(1), run(1));
  assert.notDeepEqual(run(1), run(2));
  assert.notDeepEqual(run(undefined), run(undefined));
});

test("each thread samples for itself", () => {
  for (const backend of ["wasm", "js"] as const) {
    const heap = anyHeap({ shared: true, backend, maximum: 2 ** 26 });
    const other = attachAny(heap.handle());
    let calls = 0;
    registerSampler(heap, 1, () => (calls += 1), { fixed: true, freed: () => (calls += 100) });
    other.free(other.malloc(100));
    assert.equal(calls, 0);
    const p = heap.malloc(100);
    assert.equal(calls, 1);
    heap.free(p);
    assert.equal(calls, 101);
    other.detach();
  }
});

everywhere("what makes no sampler is refused", (make) => {
  const heap = make();
  const refuse = (call: () => void, name: string, message: string) =>
    assert.throws(call, { name, message });
  const range = (value: unknown) =>
    `everyBytes must be a whole number from 1 to 1073741824, not ${value}`;
  const nothing = () => {};
  for (const every of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
    refuse(() => registerSampler(heap, every, nothing), "RangeError", range(every));
  }
  const text = "everyBytes must be a number, not string";
  refuse(() => registerSampler(heap, "5" as never, nothing), "TypeError", text);
  const none = "sampled must be a function, not undefined";
  refuse(() => registerSampler(heap, 5, undefined as never), "TypeError", none);
  const freed = "freed must be a function or undefined, not number";
  refuse(() => registerSampler(heap, 5, nothing, { freed: 5 as never }), "TypeError", freed);
});
