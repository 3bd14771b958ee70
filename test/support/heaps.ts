/** The table of subjects: every kind of memory that a heap can stand on, in every back end. */
import type { Heap } from "#src/heap/index.js";
import {
  arrayBuffer,
  failingMemory,
  growExactly,
  sharedArrayBuffer,
  wasmMemory,
} from "#src/memory/index.js";
import { type AnyHeapOptions, anyHeap } from "./any-heap.js";

export interface HeapSubject {
  name: string;
  create(options?: Pick<AnyHeapOptions, "onError">): Heap;
}

const GIB = 2 ** 30;

function subject(name: string, options: () => AnyHeapOptions): HeapSubject {
  return { name, create: (more = {}) => anyHeap({ ...options(), ...more }) };
}

/** Resizable buffers are younger than Node 20's floor promises; where they are missing, say so. */
const resizable = "resizable" in ArrayBuffer.prototype;
const growable = "growable" in SharedArrayBuffer.prototype;

type Resizing<T> = new (bytes: number, limits: { maxByteLength: number }) => T;

function resizableBuffer(): ArrayBuffer {
  return new (ArrayBuffer as unknown as Resizing<ArrayBuffer>)(2 ** 17, { maxByteLength: 2 ** 28 });
}

/** A memory whose first `used` bytes, and all others that are there, hold a program's data. */
function usedMemory(pages: number, shared = false): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared });
  new Uint8Array(memory.buffer).fill(0xa5);
  return memory;
}

export const heapSubjects: HeapSubject[] = [
  subject("wasm", () => ({})),
  subject("wasm in a caller's memory", () => ({ memory: usedMemory(3) })),
  subject("wasm inside a caller's used memory", () => ({ memory: usedMemory(40), offset: 70000 })),
  subject("wasm above 2 GiB", () => ({ memory: wasmMemory({ offset: 2 * GIB + 65536 }) })),
  subject("wasm, growing exactly", () => ({ memory: wasmMemory({ growth: growExactly }) })),
  subject("wasm behind a failing source that does not fail", () => ({
    memory: failingMemory(wasmMemory(), Number.POSITIVE_INFINITY),
  })),
  subject("js", () => ({ backend: "js" })),
  subject("js over WebAssembly.Memory", () => ({ backend: "js", memory: wasmMemory() })),
  subject("js above 2 GiB", () => ({
    backend: "js",
    memory: wasmMemory({ offset: 2 * GIB + 65536 }),
  })),
  subject("js over a fixed ArrayBuffer", () => ({
    backend: "js",
    memory: arrayBuffer({ buffer: new ArrayBuffer(2 ** 27) }),
  })),
  subject("js over a SharedArrayBuffer", () => ({
    backend: "js",
    memory: sharedArrayBuffer({ maximum: 2 ** 27 }),
  })),
  subject("wasm, shared", () => ({ shared: true })),
  subject("wasm, shared, above 2 GiB", () => ({
    shared: true,
    memory: wasmMemory({ shared: true, offset: 2 * GIB + 65536 }),
  })),
  subject("wasm, shared, inside a caller's used memory", () => ({
    shared: true,
    memory: usedMemory(40, true),
    offset: 70000,
  })),
  subject("js, shared", () => ({ shared: true, backend: "js", maximum: 2 ** 27 })),
  subject("js, shared, over WebAssembly.Memory", () => ({
    shared: true,
    backend: "js",
    memory: wasmMemory({ shared: true }),
  })),
  ...(resizable
    ? [
        subject("js over a resizable ArrayBuffer", () => ({
          backend: "js" as const,
          memory: arrayBuffer({ buffer: resizableBuffer() }),
        })),
      ]
    : []),
  ...(growable
    ? [
        subject("js over a growable SharedArrayBuffer", () => ({
          backend: "js" as const,
          memory: sharedArrayBuffer({ growable: true, maximum: 2 ** 27 }),
        })),
      ]
    : []),
];

export const missingSubjects: string[] = [
  ...(resizable ? [] : ["this engine has no resizable ArrayBuffer"]),
  ...(growable ? [] : ["this engine has no growable SharedArrayBuffer"]),
];
