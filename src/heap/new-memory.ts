/**
 * The memory of a heap that is given none. In a file of its own, so that allocators which make a
 * memory do not load the cores of the heap.
 */

import { arrayBuffer, type MemorySource, sharedArrayBuffer, wasmMemory } from "../memory/index.ts";
import type { BackEnd } from "./calls/contract.ts";

/** What can be said of a memory that is made for a heap, in bytes. */
export interface NewMemory {
  offset?: number | undefined;
  initial?: number | undefined;
  maximum?: number | undefined;
  shared?: boolean | undefined;
}

export function sourceDefault(backEnd: BackEnd, options: NewMemory): MemorySource {
  const { offset, initial, maximum, shared } = options;
  const sizes = { offset, initial, maximum };
  if (backEnd === "wasm") return wasmMemory({ ...sizes, shared });
  return shared ? sharedArrayBuffer(sizes) : arrayBuffer(sizes);
}
