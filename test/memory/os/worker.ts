/** Attaches to a heap and gives a range of its memory back to the system. */
import { parentPort, workerData } from "node:worker_threads";
import { attachAny } from "../../support/any-heap.js";
import { os } from "../../support/os.js";

const heap = attachAny(workerData.handle);
const { pages } = heap.source;
const { from, bytes } = workerData;
parentPort?.postMessage({
  released: pages?.decommit(from, bytes) ?? false,
  address: os.available ? os.addressOf(heap.buffer) : 0,
});
