/** A thread of Scudo's stress tests: waits for the others, allocates, releases, frees by size. */
import { parentPort, workerData } from "node:worker_threads";
import { attachHardenedMalloc, type HardenedHandle } from "#src/sizeclass/index.js";
import { Random } from "../../support/random.js";

export interface CombinedWorkerData {
  handle: HardenedHandle;
  /** Counter of the threads that begin together. */
  gate: SharedArrayBuffer;
  threads: number;
  blocks: number;
  seed: number;
}

const { handle, gate, threads, blocks, seed } = workerData as CombinedWorkerData;
const words = new Int32Array(gate);
const random = new Random(seed);

Atomics.add(words, 0, 1);
Atomics.notify(words, 0);
for (let here = Atomics.load(words, 0); here < threads; here = Atomics.load(words, 0)) {
  Atomics.wait(words, 0, here);
}

// After the wait, so that all attach at the same time.
const heap = attachHardenedMalloc(handle);
const mark = seed & 0xff;

type Live = [ptr: number, size: number, array: boolean];

function make(): Live {
  const size = random.below(random.chance(3) ? 200_000 : 4096);
  const array = random.chance(50);
  const ptr = array ? heap.operatorNew(size, true) : heap.malloc(size);
  if (ptr === 0) throw new Error(`no memory for ${size} bytes`);
  heap.u8.fill(mark, ptr, ptr + size);
  return [ptr, size, array];
}

function drop([ptr, size, array]: Live): void {
  const bytes = heap.u8;
  for (const at of size === 0 ? [] : [0, size >>> 1, size - 1]) {
    if (bytes[ptr + at] !== mark) throw new Error(`the block of ${size} at ${ptr} is damaged`);
  }
  if (array) heap.operatorDeleteArray(ptr, size);
  else heap.freeSize(ptr, size);
  if (random.chance(2)) heap.drain();
}

for (let round = 0; round < 3; round++) {
  const live = Array.from({ length: blocks }, make);
  heap.releaseToOS();
  while (live.length > 0) drop(live.pop() as Live);
}
heap.detach();
parentPort?.postMessage("done");
