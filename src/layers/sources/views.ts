/** Views of the memory of a MemorySource. */
import type { MemorySource } from "../../memory/index.ts";
import type { HeapLike, Memory } from "../pool/contract.ts";

/** Who else can use a memory: a heap serves any number of users, a source grows for them. */
export interface MemoryOrigin {
  readonly heap?: HeapLike;
  readonly source?: MemorySource;
}

const origins = new WeakMap<Memory, MemoryOrigin>();

/** Where the views of a source's memory come from; undefined where that is not known. */
export function originOfViews(memory: Memory): MemoryOrigin | undefined {
  return origins.get(memory);
}

/** The views of a heap. */
export function heapViewsOf(heap: HeapLike): Memory {
  const memory: Memory = { bytes: () => heap.u8, u32: () => heap.u32 };
  origins.set(memory, { heap });
  return memory;
}

/** Views that are made anew when the source has another buffer. */
export function memoryViewsOf(source: MemorySource): Memory {
  let buffer = source.buffer;
  let bytes = new Uint8Array(buffer);
  let words = new Uint32Array(buffer);
  function renew(): void {
    buffer = source.buffer;
    bytes = new Uint8Array(buffer);
    words = new Uint32Array(buffer);
  }
  const memory: Memory = {
    bytes() {
      if (source.buffer !== buffer) renew();
      return bytes;
    },
    u32() {
      if (source.buffer !== buffer) renew();
      return words;
    },
  };
  origins.set(memory, { source });
  return memory;
}
