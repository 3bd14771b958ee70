/** One heap for several modules and for several threads: the imported form. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createAbi, createHeap } from "#src/heap/index.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { ModuleEditor, override, overrideImports, readModule } from "#src/wasm/index.js";
import { seedOf } from "../../support/random.js";
import { fixture, type Numbers, other } from "../support/fixtures.js";

test("two modules that are linked for one memory share a heap, and free each other's blocks", () => {
  const memory = new WebAssembly.Memory({ initial: 40 });
  const heap = createHeap({ memory });
  const imports = {
    env: { memory },
    ...overrideImports({ memory: heap.memory, abi: createAbi(heap) }),
  };
  const instances = ["bench/rivals/dlmalloc.wasm", "bench/rivals/tlsf.wasm"].map((path) => {
    const { bytes } = override(imported(other(path)), { form: "import" });
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports as Numbers;
  });
  const [c, script] = instances as [Required<Numbers>, Required<Numbers>];
  const blocks = Array.from({ length: 1000 }, (_, i) => {
    return ((i % 2 === 0 ? c : script).malloc as (n: number) => number)(i * 13);
  });
  assert.equal(new Set(blocks).size, 1000);
  assert.ok(blocks.every((ptr) => heap.contains(ptr) && ptr >= 40 * 65536));
  blocks.forEach((ptr, i) => {
    (i % 3 === 0 ? c : script).free?.(ptr);
  });
  assert.equal(heap.stats().blocks, 0);
});

/** Set by scripts/soak.mjs. */
const ROUNDS = Number(process.env.TERRANE_OPERATIONS ?? 4000);

/** The module with its memory imported as env.memory. */
function imported(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const editor = new ModuleEditor(readModule(bytes));
  const limits = { min: 1, max: undefined, shared: false, is64: false };
  editor.setMemory(limits, { module: "env", name: "memory" });
  return editor.write().bytes;
}

test("threads: a module with a shared memory on one heap, without its lock", async () => {
  const { bytes } = override(other("bench/rivals/dlmalloc-lock.wasm"), { form: "import" });
  const module = new WebAssembly.Module(bytes);
  const heap = createSharedHeap({ offset: 65536, maximum: 2 ** 28 });
  const table = new SharedArrayBuffer(64 * 4);
  const workers = [1, 2, 3].map((seed) => {
    const shared = { handle: heap.handle(), module, table };
    const workerData = { ...shared, seed: seedOf(seed), rounds: ROUNDS };
    return new Worker(new URL("worker.js", import.meta.url), { workerData });
  });
  const ended = await Promise.all(workers.map((worker) => once(worker, "message")));
  assert.deepEqual(ended.flat(), ["done", "done", "done"]);
  await Promise.all(workers.map((worker) => worker.terminate()));
  for (const word of new Int32Array(table)) if (word !== 0) heap.free(word >>> 0);
  heap.collect(true);
  assert.equal(heap.stats().blocks, 0);
});

test("a program on an imported heap has the maximum of that heap", () => {
  const { bytes, report } = override(fixture("boxes.wasm"), { form: "import" });
  const heap = createHeap({ offset: report.memory.min * 65536, maximum: 40 * 65536 });
  const imports = overrideImports({ memory: heap.memory, abi: createAbi(heap) });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  const { correct } = exports as Required<Numbers>;
  assert.equal((correct as (n: number) => number)(10), 74);
  assert.throws(() => correct?.(1e6), { name: "RuntimeError", message: "unreachable" });
});
