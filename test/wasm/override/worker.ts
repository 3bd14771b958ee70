/**
 * A thread with an instance of an overridden module: allocates, and frees blocks of other threads.
 */
import { parentPort, workerData } from "node:worker_threads";
import { createAbi } from "#src/heap/index.js";
import { attachHeap } from "#src/heap/shared.js";
import { overrideImports } from "#src/wasm/index.js";
import { Random } from "../../support/random.js";

/** Words of the table in which threads pass blocks to each other. */
export const SLOTS = 64;

const { handle, module, table, seed, rounds } = workerData;
const heap = attachHeap(handle);
const words = new Int32Array(table);
const env = { memory: heap.memory as WebAssembly.Memory };
const { exports } = new WebAssembly.Instance(module, {
  env,
  ...overrideImports({ memory: heap.memory, abi: createAbi(heap) }),
});
const c = exports as Record<"malloc" | "free" | "calloc" | "realloc", (...n: number[]) => number>;
const random = new Random(seed);

function make(): number {
  const size = random.skewed(8, 20_000);
  const p = (random.below(2) === 0 ? c.malloc(size) : c.calloc(1, size)) >>> 0;
  if (p === 0) throw new Error(`no memory for ${size} bytes`);
  heap.u32[p >>> 2] = size;
  heap.u8.fill(size & 0xff, p + 4, p + size);
  return p;
}

function look(p: number): void {
  const size = heap.u32[p >>> 2] as number;
  for (let at = p + 4; at < p + size; at++) {
    if (heap.u8[at] !== (size & 0xff)) throw new Error(`overwritten: ${p} + ${at - p} of ${size}`);
  }
}

for (let round = 0; round < rounds; round++) {
  const slot = random.below(SLOTS);
  const other = Atomics.exchange(words, slot, make() | 0) >>> 0;
  if (other === 0) continue;
  look(other);
  if (random.below(4) !== 0) c.free(other);
  else {
    const size = heap.u32[other >>> 2] as number;
    const moved = c.realloc(other, size * 2) >>> 0;
    look(moved);
    c.free(moved);
  }
}
for (let slot = 0; slot < SLOTS; slot++) {
  const last = Atomics.exchange(words, slot, 0) >>> 0;
  if (last !== 0) c.free(last);
}
heap.detach();
parentPort?.postMessage("done");
