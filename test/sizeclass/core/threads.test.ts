/** Threads: a cache each, locks that name their holder, deaths at any instant. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import {
  C_LOCK,
  C_LOW,
  C_SLOTS,
  R_ALLOCATED,
  R_ALLOCS,
  R_ARRAY,
  R_FREED,
  R_LOCK,
  R_MAPPED_ARRAY,
  R_REGIONS,
  R_REWRITE,
  REGION_SIZE,
  REGIONS,
} from "#src/sizeclass/core/layout.js";
import {
  attachHardenedMalloc,
  attachSizeClassHeap,
  createHardenedMalloc,
  createSizeClassHeap,
  type SharedSizeClassHeap,
  type SizeClassError,
  type SizeClassHandle,
} from "#src/sizeclass/index.js";
import { Random, seedOf } from "../../support/random.js";
import type { WorkerData } from "./worker.js";

const DEATHS = 8;
const url = new URL("./worker.js", import.meta.url);

/** A word of a region's info. */
function infoIndex(heap: SharedSizeClassHeap, id: number, offset: number): number {
  return (heap.handle().geometry.control + REGIONS + id * REGION_SIZE + offset) / 4;
}

test("any thread frees any block; detach returns the cache and frees the thread slot", () => {
  const heap = createSizeClassHeap({ shared: true, threads: 2, releaseInterval: -1 });
  const mine = attachSizeClassHeap(heap.handle());
  assert.notEqual(mine.threadId, heap.threadId);
  assert.throws(
    () => attachSizeClassHeap(heap.handle()),
    (error: SizeClassError) =>
      error.code === "ERR_NO_THREAD" &&
      error.message ===
        "attachSizeClassHeap: 2 threads are attached: the option threads allows more",
  );
  const blocks = Array.from({ length: 300 }, () => mine.malloc(100));
  for (const p of blocks) heap.free(p);
  const large = heap.malloc(500_000);
  mine.u8[large] = 1;
  mine.free(large);
  mine.detach();
  mine.detach();
  assert.throws(() => mine.malloc(1), /destroyed/);
  heap.drain();
  for (const one of heap.primary.stats()) assert.equal(one.allocations, one.frees);
  assert.ok(heap.primary.isValid());
  attachSizeClassHeap(heap.handle()).detach();
});

test("a lock that a dead thread holds: malloc and free continue, recover returns everything", () => {
  const heap = createSizeClassHeap({ shared: true, releaseInterval: -1 });
  const dead = attachSizeClassHeap(heap.handle());
  const cached = Array.from({ length: 10 }, () => dead.malloc(1024));
  for (const p of cached) dead.free(p);
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 100);
  const lock = infoIndex(heap, id, R_LOCK);
  Atomics.store(heap.u32, lock, dead.threadId);
  const p = heap.malloc(1024);
  assert.equal(heap.primary.classOf(p), id + 1, "a larger class serves");
  for (const q of chunks) heap.free(q);
  assert.throws(() => heap.primary.getFrom(id, 1), /another thread holds the lock/);
  assert.equal(heap.recover(dead.threadId), true);
  assert.equal(heap.recover(dead.threadId), false);
  assert.equal(Atomics.load(heap.u32, lock), 0);
  heap.free(p);
  heap.drain();
  heap.primary.returnTo(id, heap.primary.getFrom(id, 1));
  for (const one of heap.primary.stats()) {
    assert.equal(one.allocations, one.frees);
    assert.equal(one.freeChunks, one.chunks);
  }
  assert.ok(heap.primary.isValid());
  assert.throws(() => heap.recover(0), /threadId must be a whole number from 1 to/);
  assert.equal(heap.recover(heap.threadId), false);
});

test("a thread that died while it recovered another: its recovery completes that one", () => {
  const heap = createSizeClassHeap({ shared: true, releaseInterval: -1 });
  const first = attachSizeClassHeap(heap.handle());
  const second = attachSizeClassHeap(heap.handle());
  const id = heap.primary.map.id(1024);
  for (const mine of [first, second]) {
    const blocks = Array.from({ length: 5 }, () => mine.malloc(1024));
    for (const p of blocks) mine.free(p);
  }
  const lock = infoIndex(heap, id, R_LOCK);
  Atomics.store(heap.u32, lock, first.threadId);
  // The second has taken over the slot of the first, and nothing else.
  const slot = (heap.handle().geometry.control + C_SLOTS) / 4 + 1;
  assert.equal(heap.u32[slot], first.threadId);
  heap.u32[slot] = second.threadId;
  assert.equal(heap.recover(first.threadId), false, "its thread slot was freed");
  assert.equal(heap.recover(second.threadId), true);
  assert.equal(Atomics.load(heap.u32, lock), 0);
  for (const one of heap.primary.stats()) assert.equal(one.freeChunks, one.chunks);
  assert.deepEqual([...heap.u32.subarray(slot - 1, slot + 2)], [heap.threadId, 0, 0]);
});

test("a thread that died while it made chunks: all that are on the array were made", () => {
  const heap = createSizeClassHeap({ shared: true, releaseInterval: -1 });
  const dead = attachSizeClassHeap(heap.handle());
  const id = heap.primary.map.id(1024);
  heap.primary.returnTo(id, heap.primary.getFrom(id, 1));
  const allocated = infoIndex(heap, id, R_ALLOCATED);
  const units = heap.u32[allocated] as number;
  heap.u32[allocated] = 0;
  Atomics.store(heap.u32, infoIndex(heap, id, R_LOCK), dead.threadId);
  heap.recover(dead.threadId);
  assert.equal(heap.u32[allocated], units);
  assert.ok(heap.primary.isValid());
});

test("a thread that died while it unmapped: the lowest free pages are found again", () => {
  const heap = createSizeClassHeap({ shared: true, releaseInterval: -1 });
  const dead = attachSizeClassHeap(heap.handle());
  const p = heap.malloc(500_000);
  heap.malloc(500_000);
  const { control } = heap.handle().geometry;
  const low = heap.u32[(control + C_LOW) / 4] as number;
  heap.free(p);
  heap.u32[(control + C_LOW) / 4] = low;
  assert.equal(heap.primary.isValid(), false);
  Atomics.store(heap.u32, (control + C_LOCK) / 4, dead.threadId);
  heap.recover(dead.threadId);
  assert.ok(heap.primary.isValid());
  assert.equal(heap.malloc(500_000), p);
});

test("a thread that died while it took a region: others find the region, or continue without it", () => {
  const errors: number[] = [];
  const onError = (code: number) => errors.push(code);
  const heap = createSizeClassHeap({ shared: true, releaseInterval: -1, onError });
  const dead = attachSizeClassHeap(heap.handle());
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 64);
  // The region is in the map, but neither the class's count nor its chunks are updated.
  for (const offset of [R_REGIONS, R_ALLOCATED, R_FREED, R_ALLOCS]) {
    heap.u32[infoIndex(heap, id, offset)] = 0;
  }
  const locks = [infoIndex(heap, id, R_LOCK), (heap.handle().geometry.control + C_LOCK) / 4];
  for (const lock of locks) Atomics.store(heap.u32, lock, dead.threadId);
  assert.deepEqual([heap.malloc(1024), errors], [0, [12]], "no region can be had");
  heap.recover(dead.threadId);
  assert.ok(heap.primary.isValid());
  assert.equal(heap.primary.regionsOf(id).length, 1);
  assert.deepEqual(new Set(heap.primary.getFrom(id, 64)), new Set(chunks));
  assert.notEqual(heap.malloc(1024), 0);
  assert.equal(heap.primary.regionsOf(id).length, 2);
  heap.primary.returnTo(id, chunks);
  heap.primary.releaseAll();
  assert.ok(heap.primary.isValid());
});

test("a region whose chunks were not made is omitted from releases until they are", () => {
  const heap = createSizeClassHeap({ shared: true, releaseInterval: -1 });
  const dead = attachSizeClassHeap(heap.handle());
  const id = heap.primary.map.id(1024);
  const first = heap.primary.getFrom(id, 64);
  const words = [R_ALLOCATED, R_FREED, R_ALLOCS].map((offset) => infoIndex(heap, id, offset));
  const before = words.map((index) => heap.u32[index] as number);
  heap.primary.getFrom(id, 64);
  assert.equal(heap.primary.regionsOf(id).length, 2);
  // As if it had died before it made the chunks of the second region.
  for (const [i, index] of words.entries()) heap.u32[index] = before[i] as number;
  Atomics.store(heap.u32, infoIndex(heap, id, R_LOCK), dead.threadId);
  heap.recover(dead.threadId);
  const [array, bytes] = [R_ARRAY, R_MAPPED_ARRAY].map((offset) => infoIndex(heap, id, offset));
  const behind =
    ((heap.u32[array as number] as number) + (heap.u32[bytes as number] as number)) / 4;
  heap.u32.fill(0xffffffff, behind, behind + 64);
  heap.primary.returnTo(id, first.slice(1));
  heap.primary.releaseAll();
  assert.ok(heap.primary.isValid());
  assert.equal(heap.primary.stats()[0]?.freeChunks, 63);
  assert.equal(new Set(heap.primary.getFrom(id, 127)).size, 127);
  assert.equal(heap.primary.regionsOf(id).length, 2);
  heap.primary.releaseAll();
  assert.ok(heap.primary.isValid());
});

for (const regions of ["onDemand", "reserved"] as const) {
  test(`${regions}: a thread that died while it rewrote a free array: the array is written again`, () => {
    const heap = createSizeClassHeap({
      regions,
      shared: true,
      shuffle: true,
      seed: 5,
      releaseInterval: -1,
    });
    const dead = attachSizeClassHeap(heap.handle());
    const id = heap.primary.map.id(1024);
    const chunks = heap.primary.getFrom(id, 64);
    heap.primary.returnTo(id, chunks);
    heap.primary.releaseAll(); // the bits are those of the array now
    // Half of the array is written, the other half is stale: some chunks are on it twice.
    const words = heap.u32;
    const { regionBytes, onDemand } = heap.primary;
    const behind = heap.primary.regionBegin(id) + (regionBytes / 8) * 7;
    const array = onDemand ? (words[infoIndex(heap, id, R_ARRAY)] as number) : behind;
    words.copyWithin(array / 4 + 32, array / 4, array / 4 + 32);
    Atomics.store(words, infoIndex(heap, id, R_LOCK), dead.threadId);
    Atomics.store(words, infoIndex(heap, id, R_REWRITE), 1);
    heap.recover(dead.threadId);
    assert.ok(heap.primary.isValid());
    assert.deepEqual(new Set(heap.primary.getFrom(id, 64)), new Set(chunks));
  });
}

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: three Workers pass blocks to each other`, async (t) => {
    const seed = seedOf(7700);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const heap = createSizeClassHeap({
      shared: true,
      backend,
      shuffle: true,
      maximum: 2 ** 28,
      releaseInterval: 1,
    });
    const mail = new SharedArrayBuffer(4 * 64);
    const workers = [0, 1, 2].map((index) =>
      heap.startWorker((handle) => {
        const workerData: WorkerData = { handle, mail, seed: seed + index, operations: 60_000 };
        return new Worker(url, { workerData });
      }),
    );
    const ends = await Promise.all(workers.map((worker) => once(worker, "exit")));
    assert.deepEqual(ends.flat(), [0, 0, 0]);
    for (const place of new Int32Array(mail)) heap.free(place >>> 0);
    heap.drain();
    assert.ok(heap.primary.isValid());
    for (const one of heap.primary.stats()) assert.equal(one.allocations, one.frees);
    assert.equal(heap.stats().large.mappedBytes, 0);
  });
}

for (const regions of ["onDemand", "reserved"] as const) {
  test(`${regions}: Workers die at any instant; the others continue, and no block is given twice`, async (t) => {
    const seed = seedOf(7800);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const heap = createSizeClassHeap({
      regions,
      shared: true,
      maximum: 2 ** 29,
      releaseInterval: 1,
    });
    const mail = new SharedArrayBuffer(4 * 64);
    const start = (operations: number) =>
      heap.startWorker((handle) => {
        const workerData: WorkerData = { handle, mail, seed: random.u32(), operations };
        return new Worker(url, { workerData });
      });
    const survivor = start(150_000);
    const survived = once(survivor, "exit");
    for (let round = 0; round < DEATHS; round++) {
      const worker = start(1e9);
      await once(worker, "online");
      await sleep(random.between(5, 60));
      await worker.terminate();
    }
    assert.deepEqual(await survived, [0]);
    // A block that a dead Worker used may be half written: its bytes are not checked.
    for (const place of new Int32Array(mail)) heap.free(place >>> 0);
    heap.drain();
    assert.ok(heap.primary.isValid());
    const live = Array.from({ length: 20_000 }, (_, i) => heap.malloc((i % 50) * 40));
    assert.ok(live.every((p) => p !== 0));
    assert.equal(new Set(live).size, live.length);
    const lost = heap.primary.stats().reduce((sum, one) => sum + one.allocations - one.frees, 0);
    const held = live.filter((p) => heap.primary.classOf(p) !== 0).length;
    t.diagnostic(`${lost - held} chunks in caches or lost by ${DEATHS} deaths`);
  });
}

test("a quarantine of all threads: what one frees, no other reuses", () => {
  const heap = createHardenedMalloc({
    shared: true,
    quarantineSizeKb: 64,
    threadLocalQuarantineSizeKb: 1,
    releaseInterval: -1,
  });
  const mine = attachHardenedMalloc(heap.handle());
  const p = mine.malloc(2000);
  heap.free(p);
  assert.equal(mine.stats().quarantine.blocks, 1, "on the list of all");
  assert.throws(() => mine.free(p), /invalid chunk state when deallocating/);
  const q = mine.malloc(100);
  mine.free(q);
  assert.equal(heap.stats().quarantine.blocks, 1);
  mine.detach();
  assert.equal(heap.stats().quarantine.blocks, 2);
  heap.drain();
  assert.equal(heap.stats().quarantine.blocks, 0);
  assert.equal(heap.recover(99), false);
});

test("a thread that detaches without the quarantine's lock recycles its blocks", () => {
  const heap = createHardenedMalloc({
    shared: true,
    quarantineSizeKb: 64,
    threadLocalQuarantineSizeKb: 64,
    releaseInterval: -1,
  });
  const mine = attachHardenedMalloc(heap.handle());
  mine.free(mine.malloc(1000));
  const lock = heap.handle().list / 4;
  Atomics.store(heap.u32, lock, 77);
  mine.detach();
  assert.equal(heap.recover(77), false);
  assert.equal(Atomics.load(heap.u32, lock), 0, "the list's lock is free again");
  const id = heap.heap.primary.map.id(1016);
  const [one] = heap.heap.primary.stats().filter((each) => each.id === id);
  assert.equal(one?.freeChunks, one?.chunks, "nothing waits for ever");
});

/** Runs code with `heap` and `id` in a Worker that attaches. Returns its exit code. */
async function workerRun(heap: SharedSizeClassHeap, id: number, text: string): Promise<number> {
  const module = import.meta.resolve("#src/sizeclass/index.js");
  const source = `import("${module}").then(({ attachSizeClassHeap }) => {
    const { handle, id } = require("node:worker_threads").workerData;
    const heap = attachSizeClassHeap(handle);
    ${text}
  });`;
  const worker = heap.startWorker(
    (handle) => new Worker(source, { eval: true, workerData: { handle, id } }),
  );
  const [code] = await once(worker, "exit");
  return code as number;
}

test("a Worker ends after its starter has detached: nothing throws, and others recover it", async () => {
  const heap = createSizeClassHeap({ shared: true });
  const other = attachSizeClassHeap(heap.handle());
  const id = heap.primary.map.id(4096);
  const ended = workerRun(heap, id, "heap.malloc(4096); process.exit(7);");
  heap.detach();
  assert.equal(await ended, 7);
  assert.equal(other.recover(3), true);
  const [stats] = other.primary.stats();
  assert.equal(stats?.allocations, (stats?.frees as number) + 1, "its cache was returned");
});

test("a handle that is for one thread serves one at a time", () => {
  const heap = createSizeClassHeap({ shared: true });
  let mine: SizeClassHandle | undefined;
  heap.startWorker((handle) => {
    mine = handle;
    return { once: () => {} };
  });
  const handle = mine as SizeClassHandle;
  const first = attachSizeClassHeap(handle);
  assert.throws(() => attachSizeClassHeap(handle), {
    code: "ERR_NO_THREAD",
    message: `attachSizeClassHeap: thread ${handle.threadId} is attached already: take a new handle`,
  });
  first.detach();
  attachSizeClassHeap(handle).detach();
});
