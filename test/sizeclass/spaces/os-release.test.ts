/** Memory that goes back, in the kernel's own figures: each in a process of its own. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { hardenedMalloc, type SizeClassAllocator, sizeClass } from "#src/sizeclass/index.js";
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
 * Blocks of 64 to 512 bytes, chained through themselves so that the program has no books of its own.
 * `fill` and `drain` for the thread's `heap`.
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

/** All blocks were there, and their memory has gone. */
function assertGone(t: TestContext, source: string, bytes: number): void {
  const lines = figuresOf(source);
  const [start, full] = lines as [Figures, Figures];
  assert.ok(full[0] - start[0] >= bytes * 0.99);
  assertReleased(t, lines);
}

/** Regions on demand, and reserved ones. */
const demand = "maximum: 2 ** 32 - 65536, release: true";
const options = `spaceSize: 2 ** 31, ${demand}`;

/** The program fills and frees, and then rests for one release interval and a little. */
const scene = (create: string, bytes: number) => `
  const { sizeClass, hardenedMalloc } = await import("terrane/sizeclass");
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
  ["wasm", `sizeClass({ ${demand}, releaseInterval: 200 })`, 512],
  ["wasm, shared", `sizeClass({ ${demand}, releaseInterval: 200, shared: true })`, 256],
  ["wasm, reserved", `sizeClass({ ${options}, releaseInterval: 200 })`, 512],
  ["wasm, shared, reserved", `sizeClass({ ${options}, releaseInterval: 200, shared: true })`, 256],
  ["js, shared", `sizeClass({ ${options}, backend: "js", shared: true, maximum: 2 ** 32 })`, 64],
  ["hardened malloc", `hardenedMalloc({ ${demand}, releaseInterval: 200 })`, 256],
];

for (const [name, create, mebibytes] of subjects) {
  test(`${name}: small blocks that were freed leave within one release interval`, {
    skip,
  }, (t) => {
    assertGone(t, scene(create, mebibytes * MIB), mebibytes * MIB);
  });
}

/** A Worker: fills when it is told to, frees when it is told to, and rests. */
const worker = `
  import("terrane/sizeclass").then(({ attachSizeClass }) => {
    const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
    const heap = attachSizeClass(workerData);
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

test("Workers: small blocks that they freed leave within one release interval", { skip }, (t) => {
  assertGone(t, workersScene(demand), 128 * MIB);
});

test("Workers, reserved regions: small blocks leave as well", { skip }, (t) => {
  assertGone(t, workersScene(options), 128 * MIB);
});

const workersScene = (options: string) => `
    const { sizeClass } = await import("terrane/sizeclass");
    const { Worker } = await import("node:worker_threads");
    ${figuresSource}
    const heap = sizeClass({ ${options}, releaseInterval: 200, shared: true });
    const said = (worker) => new Promise((resolve) => worker.once("message", resolve));
    const workers = [0, 1].map(() =>
      heap.startWorker((workerData) => new Worker(${JSON.stringify(worker)}, { eval: true, workerData })));
    const can = await Promise.all(workers.map(said));
    if (!can.every(Boolean)) throw new Error("a Worker cannot release");
    const tell = (what) => Promise.all(workers.map((worker) => {
      const answer = said(worker);
      worker.postMessage(what);
      return answer;
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
  const create = `sizeClass({ ${options.replace("true", "false")} })`;
  const [, , after] = figuresOf(scene(create, 64 * MIB)) as [Figures, Figures, Figures];
  assert.ok(after[1] >= 64 * MIB);
});

test("releaseEvery: wrong intervals, and an allocator that has ended", () => {
  const heaps: Pick<SizeClassAllocator, "releaseEvery" | "destroy">[] = [
    sizeClass(),
    hardenedMalloc(),
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
