/** A guarded heap that records its reports, and the error of a trap. */
import { type GuardedOptions, guarded, type Report } from "#src/debug/index.js";
import { createHeap, type Heap } from "#src/heap/index.js";
import { withOsPages } from "#src/memory/index.js";
import { probe } from "../../support/probe.js";

export const trap = { name: "RuntimeError", message: /memory access out of bounds/ };

export function record(
  options: GuardedOptions = {},
  heap: Heap = createHeap({ release: withOsPages }),
) {
  const reports: Report[] = [];
  const guardedHeap = guarded(heap, {
    every: 1,
    onReport: (report) => reports.push(report),
    ...options,
  });
  const messages = () => reports.map(({ code, message }) => `${code} ${message}`);
  return { heap, guardedHeap, reports, messages, wasm: probe(heap.memory as WebAssembly.Memory) };
}
