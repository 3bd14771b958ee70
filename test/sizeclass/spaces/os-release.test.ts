/** Released memory, as the kernel counts it: each test in a process of its own. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  createHardenedMalloc,
  createSizeClassHeap,
  type SizeClassAllocator,
} from "#src/sizeclass/index.js";
import { skip } from "../../support/os.js";
import {
  assertReleased,
  drainSource,
  type Figures,
  figuresOf,
  figuresSource,
} from "../../support/released.js";

const MIB = 2 ** 20;

/**
 * Blocks of 64 to 512 bytes, linked through themselves, so that the program keeps no list of its
 * own. `fill` and `drain` for the thread's `heap`.
 */
const chain = `
  function fill(bytes) {
    let last = 0;
    for (let i = 0, done = 0; done < bytes; i++) {
      const size = 64 + (i % 8) * 64;
      const ptr = heap.malloc(size);
      if (ptr === 0) throw new Error("out of memory");
      heap.u8.fill(1, ptr, ptr + size);
      heap.u32[ptr >>> 2] = last;
      last = ptr;
      done += size;
    }
    return last;
  }
  ${drainSource}`;

/** All blocks were allocated, and their memory was released. */
function assertGone(t: TestContext, source: string, bytes: number): void {
  const lines = figuresOf(source);
  const [start, full] = lines as [Figures, Figures];
  assert.ok(full[0] - start[0] >= bytes * 0.99);
  assertReleased(t, lines);
}

/** Regions on demand, and reserved ones. */
const demand = "maximum: 2 ** 32 - 65536, release: withOsPages";
const options = `spaceSize: 2 ** 31, ${demand}`;

/** The program fills and frees, and then is idle for one release interval and a little. */
const scene = (create: string, bytes: number) => `
  const { createSizeClassHeap, createHardenedMalloc } = await import("terrane/sizeclass");
  const { withOsPages } = await import("terrane/memory");
  ${figuresSource}
  const heap = ${create};
  ${chain}
  for (let i = 0; i < 3; i++) {
    drain(fill(${MIB * 32})); // compiled code, and what the measuring needs, are not the heap's
    heap.drain();
    (heap.primary ?? heap.heap.primary).releaseAll();
    figures();
  }
  console.log(figures());
  const last = fill(${bytes});
  console.log(figures());
  heap.releaseEvery(200);
  drain(last);
  await wait(300);
  console.log(figures());`;

const subjects: [name: string, create: string, mebibytes: number][] = [
  ["wasm", `createSizeClassHeap({ ${demand}, releaseInterval: 200 })`, 512],
  ["wasm, shared", `createSizeClassHeap({ ${demand}, releaseInterval: 200, shared: true })`, 256],
  ["wasm, reserved", `createSizeClassHeap({ ${options}, releaseInterval: 200 })`, 512],
  [
    "wasm, shared, reserved",
    `createSizeClassHeap({ ${options}, releaseInterval: 200, shared: true })`,
    256,
  ],
  [
    "js, shared",
    `createSizeClassHeap({ ${options}, backend: "js", shared: true, maximum: 2 ** 32 })`,
    64,
  ],
  ["hardened malloc", `createHardenedMalloc({ ${demand}, releaseInterval: 200 })`, 256],
];

for (const [name, create, mebibytes] of subjects) {
  test(`${name}: freed small blocks are released within one release interval`, {
    skip,
  }, (t) => {
    assertGone(t, scene(create, mebibytes * MIB), mebibytes * MIB);
  });
}

/** A Worker that fills and frees on messages, and is idle otherwise. */
const worker = `
  import("terrane/sizeclass").then(({ attachSizeClassHeap }) => {
    const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
    const heap = attachSizeClassHeap(workerData);
    heap.releaseEvery(200);
    ${chain}
    for (let i = 0; i < 3; i++) drain(fill(${MIB * 16}));
    heap.drain();
    heap.primary.releaseAll();
    let last = 0;
    parentPort.on("message", (what) => {
      if (what === "fill") last = fill(${MIB * 64});
      if (what === "drain") drain(last);
      parentPort.postMessage(what);
    });
    parentPort.postMessage(heap.source.capabilities.canRelease);
  });`;

test("Workers: freed small blocks are released within one release interval", { skip }, (t) => {
  assertGone(t, workersScene(demand), 128 * MIB);
});

test("Workers, reserved regions: freed small blocks are released too", { skip }, (t) => {
  assertGone(t, workersScene(options), 128 * MIB);
});

const workersScene = (options: string) => `
    const { createSizeClassHeap } = await import("terrane/sizeclass");
    const { withOsPages } = await import("terrane/memory");
    const { Worker } = await import("node:worker_threads");
    ${figuresSource}
    const heap = createSizeClassHeap({ ${options}, releaseInterval: 200, shared: true });
    const nextMessage = (worker) => new Promise((resolve) => worker.once("message", resolve));
    const workers = [0, 1].map(() =>
      heap.startWorker((workerData) => new Worker(${JSON.stringify(worker)}, { eval: true, workerData })));
    const can = await Promise.all(workers.map(nextMessage));
    if (!can.every(Boolean)) throw new Error("a Worker cannot release");
    const tell = (what) => Promise.all(workers.map((worker) => {
      const reply = nextMessage(worker);
      worker.postMessage(what);
      return reply;
    }));
    for (let i = 0; i < 3; i++) {
      await tell("fill");
      await tell("drain");
      await wait(300);
      figures();
    }
    console.log(figures());
    await tell("fill");
    console.log(figures());
    await tell("drain");
    await wait(300);
    console.log(figures());
    for (const one of workers) await one.terminate();`;

test("without release the memory stays", { skip }, () => {
  const create = `createSizeClassHeap({ ${options.replace("withOsPages", "false")} })`;
  const [, , after] = figuresOf(scene(create, 64 * MIB)) as [Figures, Figures, Figures];
  assert.ok(after[1] >= 64 * MIB);
});

test("releaseEvery: wrong intervals, and an allocator that was destroyed", () => {
  const heaps: Pick<SizeClassAllocator, "releaseEvery" | "destroy">[] = [
    createSizeClassHeap(),
    createHardenedMalloc(),
  ];
  for (const heap of heaps) {
    for (const wrong of [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
      assert.throws(() => heap.releaseEvery(wrong), /^RangeError: milliseconds must be from 0 to /);
    }
    for (const wrong of ["1", 1n, null, undefined]) {
      assert.throws(() => heap.releaseEvery(wrong as never), /^TypeError: milliseconds must be a/);
    }
    heap.releaseEvery(1);
    heap.releaseEvery(0);
    heap.releaseEvery(1);
    heap.destroy();
    assert.throws(() => heap.releaseEvery(1), /the heap has been destroyed/);
  }
});
