/** A Worker that uses what is not its own: tells what was reported. */
import { parentPort, workerData } from "node:worker_threads";
import { debug } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";

const messages: string[] = [];
const debugged = debug(createHeap({ backend: javascript }), {
  threadState: new Int32Array(workerData as SharedArrayBuffer),
  reportAtExit: false,
  onReport: (report) => messages.push(report.message),
});
const ptr = debugged.malloc(10);
debugged.free(131088);
if (ptr !== 0) debugged.free(ptr);
debugged.destroy();
parentPort?.postMessage({ ptr, messages });
