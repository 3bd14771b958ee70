/** A Worker that allocates, frees blocks of other Workers, and checks that contents are intact. */
import { parentPort, workerData } from "node:worker_threads";
import { attachSizeClassHeap, type SizeClassHandle } from "#src/sizeclass/index.js";
import { Random } from "../../support/random.js";

export interface WorkerData {
  handle: SizeClassHandle;
  /** Words in which threads pass blocks to each other: an address each, or 0. */
  mail: SharedArrayBuffer;
  seed: number;
  operations: number;
}

const { handle, mail, seed, operations } = workerData as WorkerData;
const heap = attachSizeClassHeap(handle);
const places = new Int32Array(mail);
const random = new Random(seed);

/** First word the size, last word its complement. */
function fill(p: number, size: number): void {
  const words = heap.u32;
  words[p / 4] = size;
  words[(p + size) / 4 - 1] = ~size;
}

function check(p: number): void {
  const words = heap.u32;
  const size = words[p / 4] as number;
  const last = words[(p + size) / 4 - 1] as number;
  if (~size >>> 0 !== last) throw new Error(`the block of ${size} at ${p} is damaged`);
}

for (let i = 0; i < operations; i++) {
  const size = random.skewed(2, random.chance(1) ? 40_000 : 500) * 4;
  const p = heap.malloc(size);
  if (p === 0) throw new Error(`no memory for ${size} bytes`);
  fill(p, size);
  const other = Atomics.exchange(places, random.below(places.length), p | 0) >>> 0;
  if (other === 0) continue;
  check(other);
  heap.free(other);
}
heap.detach();
parentPort?.postMessage("done");
