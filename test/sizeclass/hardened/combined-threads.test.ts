/** Scudo's tests with threads, as Workers over one hardened malloc. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { simulatedMemory, tryOsPages, wasmMemory } from "#src/memory/index.js";
import {
  attachHardenedMalloc,
  createHardenedMalloc,
  type HardenedMalloc,
  type HardenedOptions,
} from "#src/sizeclass/index.js";
import { seedOf } from "../../support/random.js";
import type { CombinedWorkerData } from "./combined-worker.js";

const url = new URL("./combined-worker.js", import.meta.url);

async function race(heap: HardenedMalloc, threads: number, blocks: number, seed: number) {
  const gate = new SharedArrayBuffer(4);
  const workers = Array.from({ length: threads }, (_, index) =>
    heap.startWorker((handle) => {
      const data: CombinedWorkerData = { handle, gate, threads, blocks, seed: seed + index };
      return new Worker(url, { workerData: data });
    }),
  );
  const ends = await Promise.all(workers.map((worker) => once(worker, "exit")));
  assert.ok(
    ends.every(([code]) => code === 0),
    `${ends}`,
  );
}

/** No block is live, in quarantine or lost. */
function assertClosed(heap: HardenedMalloc): void {
  heap.releaseToOS(true);
  assert.deepEqual(Object.values(heap.stats().quarantine), [0, 0, 0, 0]);
  assert.ok(heap.heap.primary.isValid());
  assert.equal(heap.stats().allocatedBlocks, 0);
  assert.equal(heap.heap.stats().large.mappedBytes, 0);
  const left = heap.heap.primary.stats().map((one) => one.allocations - one.frees);
  assert.equal(
    left.reduce((sum, one) => sum + one),
    1,
    "the quarantine's list",
  );
}

const shared: HardenedOptions = { shared: true, maximum: 2 ** 28, quarantineSizeKb: 256 };
const kinds: [string, HardenedOptions][] = [
  ["wasm", { ...shared, threadLocalQuarantineSizeKb: 16, releaseInterval: 1 }],
  ["js", { ...shared, backend: "js", patternFillContents: true }],
  ["wasm, releasing", { ...shared, release: tryOsPages, releaseInterval: 0 }],
];

for (const [name, options] of kinds) {
  test(`${name}: ThreadedCombined, ThreadedNew: threads allocate, release and free at once`, async (t) => {
    const seed = seedOf(8400);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const heap = createHardenedMalloc(options);
    await race(heap, 4, 256, seed);
    assertClosed(heap);
  });
}

test("StressThreadInitTSDExclusive: many threads attach at the same time", async (t) => {
  const seed = seedOf(8500);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const heap = createHardenedMalloc({ shared: true, threads: 12 });
  await race(heap, 10, 1, seed);
  assertClosed(heap);
});

test("hooks, fills and stacks are separate for each thread; attaching checks its arguments", () => {
  const calls: string[] = [];
  const heap = createHardenedMalloc({ ...shared, onAllocate: () => calls.push("first") });
  const handle = structuredClone(heap.handle());
  const mine = attachHardenedMalloc(handle, {
    onAllocate: () => calls.push("second"),
    onDeallocate: undefined,
  });
  mine.fillContents = "zero";
  assert.equal(heap.fillContents, "none");
  mine.trackAllocationStacks = true;
  const ptr = mine.malloc(100);
  heap.free(ptr);
  heap.malloc(10);
  assert.deepEqual(calls, ["second", "first"]);
  assert.match(String(mine.errorInfo(ptr)?.allocatedAt), /combined-threads/);
  assert.equal(heap.errorInfo(ptr)?.allocatedAt, undefined);
  for (const wrong of [undefined, null, 1, {}, "handle"]) {
    assert.throws(
      () => attachHardenedMalloc(wrong as never),
      /^TypeError: handle must come from handle\(\) of a hardened m/,
    );
  }
  const attach = (options: object) => () => attachHardenedMalloc(handle, options);
  assert.throws(
    attach({ onFree: 1 }),
    /^TypeError: unknown option onFree; known: onAllocate, onDe/,
  );
  assert.throws(attach({ onAllocate: 1 }), /^TypeError: onAllocate must be a function, not number/);
  assert.throws(attach(null as never), /^TypeError: options must be an object, not null/);
  mine.detach();
});

test("a Worker that dies leaves no lock, cache or thread slot behind", async () => {
  const heap = createHardenedMalloc({ ...shared, threads: 2 });
  for (let round = 0; round < 3; round++) {
    const worker = heap.startWorker((handle) => {
      const data: CombinedWorkerData = {
        ...{ handle, gate: new SharedArrayBuffer(4), threads: 1, blocks: 1e7, seed: round },
      };
      return new Worker(url, { workerData: data });
    });
    await once(worker, "online");
    while (heap.heap.primary.stats().length < 5) await new Promise((done) => setTimeout(done, 1));
    await worker.terminate();
  }
  heap.drain();
  assert.ok(heap.heap.primary.isValid());
  heap.free(heap.malloc(100));
  attachHardenedMalloc(heap.handle()).detach();
});

test("calls for threads need a shared memory", () => {
  const plain = createHardenedMalloc({ memory: simulatedMemory({ source: wasmMemory() }) });
  const calls = [
    () => plain.handle(),
    () => plain.detach(),
    () => plain.recover(1),
    () => plain.startWorker(() => assert.fail("started")),
  ];
  for (const call of calls)
    assert.throws(call, /^TypeError: threads need the option shared: true$/);
});
