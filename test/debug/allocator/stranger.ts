/** A Worker that uses what is not its own: tells what was reported. */
import { parentPort, workerData } from "node:worker_threads";
import { debug } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";

const messages: string[] = [];
const door = debug(createHeap({ backend: javascript }), {
  threadState: new Int32Array(workerData as SharedArrayBuffer),
  reportAtExit: false,
  onReport: (report) => messages.push(report.message),
});
const ptr = door.malloc(10);
door.free(131088);
if (ptr !== 0) door.free(ptr);
door.destroy();
parentPort?.postMessage({ ptr, messages });
