/** Memory that goes back to the system, as the kernel counts it: each in a process of its own. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { child, skip } from "../../support/os.js";
import {
  assertReleased,
  drainSource,
  type Figures,
  figuresOf,
  figuresSource,
} from "../../support/released.js";

const BYTES = 512 * 2 ** 20;

const fillSource = `
  function fill(bytes) {
    let last = 0;
    for (let i = 0; i < bytes / 64; i++) {
      const ptr = heap.malloc(64);
      heap.u32[ptr >>> 2] = last;
      last = ptr;
    }
    return last;
  }`;

/**
 * Allocates and frees blocks of 64 bytes, linked through themselves so that the program needs no
 * other memory. Prints the resident bytes of the process and of the memory: at the start, with all
 * blocks, and after `end`. Without huge pages, which some kernels (THP "always") put around any
 * page that is touched: 2 MiB each, or 32 MiB where pages have 16 KiB, and no heap knows of them.
 */
const scene = (create: string, end: string, bytes: number) => `
  const { createHeap } = await import("terrane");
  const { javascript, sharedJavascript } = await import("terrane/javascript");
  const { createSharedHeap } = await import("terrane/shared");
  const { osMemory, withOsPages } = await import("terrane/memory");
  ${figuresSource}
  const heap = ${create};
  os.hugePages(os.addressOf(heap.buffer), 2 ** 30, false);
  ${fillSource}
  ${drainSource}
  for (let i = 0; i < 3; i++) {
    drain(fill(2 ** 25)); // compiles the code, and allocates what measuring needs
    heap.collect(true);
    figures();
  }
  console.log(figures());
  const last = fill(${bytes});
  console.log(figures());
  drain(last);
  ${end}
  console.log(figures());
`;

function run(create: string, end: string, bytes = BYTES): Figures[] {
  return figuresOf(scene(create, end, bytes));
}

/** All blocks were allocated, and their memory has gone back. */
function assertGone(t: TestContext, lines: Figures[], bytes = BYTES): void {
  const [, full] = lines as [Figures, Figures];
  assert.ok(full[1] >= bytes);
  assertReleased(t, lines);
}

const heaps: [string, string][] = [
  ["wasm", "createHeap({ release: withOsPages })"],
  ["wasm, shared", "createSharedHeap({ release: withOsPages })"],
];

for (const [name, create] of heaps) {
  test(`${name}: collect(true) gives 512 MiB of small blocks back`, { skip }, (t) => {
    assertGone(t, run(create, "heap.collect(true);"));
  });
}

const others: [string, string][] = [
  ["js over OS memory", "createHeap({ backend: javascript, memory: osMemory() })"],
  [
    "js, shared",
    "createSharedHeap({ backend: sharedJavascript, maximum: 2 ** 28, release: withOsPages })",
  ],
];

for (const [name, create] of others) {
  test(`${name}: collect(true) gives 128 MiB of small blocks back`, { skip }, (t) => {
    assertGone(t, run(create, "heap.collect(true);", 2 ** 27), 2 ** 27);
  });
}

test("a timer gives 512 MiB of small blocks back while the program does nothing", { skip }, (t) => {
  const wait = `
    heap.purgeEvery(5);
    const before = heap.stats().purges;
    for (let i = 0; i < 1000 && heap.stats().committedBytes > 2 ** 21; i++) await wait(5);
    heap.purgeEvery(0);
    if (heap.stats().purges === before) throw new Error("nothing was purged");`;
  assertGone(t, run("createHeap({ release: withOsPages })", wait));
});

test("without release the memory stays", { skip }, () => {
  const [, , after] = run("createHeap()", "heap.collect(true);") as [Figures, Figures, Figures];
  assert.ok(after[1] >= BYTES);
});

test("memory that Workers freed goes back by their own heaps", { skip }, (t) => {
  const worker = `
    import("terrane/shared").then(({ attachHeap }) => {
      const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
      const heap = attachHeap(workerData);
      ${fillSource}
      ${drainSource}
      const last = fill(2 ** 27);
      parentPort.postMessage(heap.source.capabilities.canRelease);
      parentPort.once("message", () => {
        drain(last);
        heap.collect(true);
        parentPort.postMessage(heap.stats().purgedBytes);
      });
    });`;
  const { stdout, stderr } = child(`
    import { createSharedHeap } from "terrane/shared";
    import { osPages, withOsPages } from "terrane/memory";
    import { Worker } from "node:worker_threads";
    const os = osPages();
    const heap = createSharedHeap({ release: withOsPages });
    os.hugePages(os.addressOf(heap.buffer), 2 ** 30, false);
    const resident = () =>
      os.residency(os.addressOf(heap.buffer), heap.buffer.byteLength).residentBytes;
    const said = (worker) => new Promise((resolve) => worker.once("message", resolve));
    const workers = [0, 1].map(() =>
      new Worker(${JSON.stringify(worker)}, { eval: true, workerData: heap.handle() }));
    const can = await Promise.all(workers.map(said));
    const full = resident();
    const answers = workers.map(said);
    for (const worker of workers) worker.postMessage("go");
    await Promise.all(answers);
    console.log(JSON.stringify({ can, full, after: resident() }));
    for (const worker of workers) worker.terminate();`);
  assert.notEqual(stdout, "", stderr);
  const { can, full, after } = JSON.parse(stdout);
  t.diagnostic(`${full} bytes with all blocks, ${after} after`);
  assert.deepEqual(can, [true, true]);
  assert.ok(full >= 2 ** 28);
  assert.ok(after <= 2 ** 21, "less than 1 % is left");
});
