/** Attaches to a heap and gives a range of its memory back to the system. */
import { parentPort, workerData } from "node:worker_threads";
import { attachHeap } from "#src/heap/index.js";
import { os } from "../../support/os.js";

const heap = attachHeap(workerData.handle);
const { pages } = heap.source;
const { from, bytes } = workerData;
parentPort?.postMessage({
  released: pages?.decommit(from, bytes) ?? false,
  address: os.available ? os.addressOf(heap.buffer) : 0,
});
