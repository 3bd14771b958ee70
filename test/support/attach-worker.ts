/** Attaches, sends a block, and ends by itself, or stays until it is terminated. */
import { parentPort, workerData } from "node:worker_threads";
import { attachAny } from "./any-heap.js";

const heap = attachAny(workerData.handle);
const ptr = heap.malloc(100);
heap.u8[ptr] = 77;
parentPort?.postMessage(ptr);
if (workerData.stay) setInterval(() => heap.free(heap.malloc(50)), 1);
