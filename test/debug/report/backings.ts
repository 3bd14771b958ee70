/** What a debug allocator can stand on. */

import { type DebugOptions, debug } from "#src/debug/index.js";
import type { BackEnd } from "#src/heap/calls/contract.js";
import { chunk, createAllocator, pipe, segregated, std } from "#src/layers/index.js";
import { arrayBuffer, wasmMemory } from "#src/memory/index.js";
import { anyHeap } from "../../support/any-heap.js";

export type Backing = NonNullable<DebugOptions["backingAllocator"]>;

export interface BackingRow {
  name: string;
  create(backend: BackEnd): Backing;
}

/** What a debug allocator can stand on; each in both back ends. */
export const backings: BackingRow[] = [
  { name: "a heap", create: (backend) => anyHeap({ backend }) },
  {
    name: "a composition",
    create: (backend) => createAllocator(pipe(std(anyHeap({ backend })), chunk(), segregated())),
  },
  { name: "a pool", create: (backend) => pipe(std(anyHeap({ backend })), segregated()) },
  {
    name: "a debug allocator",
    create: (backend) => debug(anyHeap({ backend }), { reportAtExit: false, onReport: "throw" }),
  },
  { name: "a memory", create: (backend) => (backend === "wasm" ? wasmMemory() : arrayBuffer()) },
];
