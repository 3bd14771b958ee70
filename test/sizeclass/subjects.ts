/** The size-class allocator in linear memory, in every build and on every kind of memory. */
import {
  arrayBuffer,
  failingMemory,
  growExactly,
  sharedArrayBuffer,
  wasmMemory,
} from "#src/memory/index.js";
import {
  createSizeClassHeap,
  type SizeClassHeap,
  type SizeClassOptions,
} from "#src/sizeclass/index.js";

export interface SizeClassSubject {
  name: string;
  create(more?: SizeClassOptions): SizeClassHeap;
}

function subject(name: string, options: () => SizeClassOptions): SizeClassSubject {
  return { name, create: (more = {}) => createSizeClassHeap({ ...options(), ...more }) };
}

/** 32 regions of 128 KiB, reserved. */
export const tiny: SizeClassOptions = { spaceSize: 2 ** 22, granule: 4096 };
const reserved = { regions: "reserved" } as const;

export const sizeClassSubjects: SizeClassSubject[] = [
  subject("wasm", () => ({})),
  subject("wasm, tiny", () => tiny),
  subject("wasm, shuffled", () => ({ shuffle: true, seed: 12345 })),
  subject("wasm, default map", () => ({ map: "default" })),
  subject("wasm, regions of 1 MiB", () => ({ regionSize: 2 ** 20 })),
  subject("wasm, metadata", () => ({ metadataSize: 48 })),
  subject("wasm, reserved", () => reserved),
  subject("wasm, reserved, free arrays of a half", () => ({ map: "default", freeArray: 2 })),
  subject("wasm, reserved, metadata, shuffled", () => ({
    ...reserved,
    metadataSize: 48,
    shuffle: true,
  })),
  subject("wasm, above 2 GiB", () => ({ memory: wasmMemory({ offset: 2 ** 31 + 65536 }) })),
  subject("wasm, used memory", () => {
    const memory = new WebAssembly.Memory({ initial: 1200, maximum: 65536 });
    new Uint8Array(memory.buffer).fill(0xa5);
    return { memory: wasmMemory({ memory, offset: 70000 }) };
  }),
  subject("wasm, growing exactly, over a failing source that does not fail", () => ({
    memory: failingMemory(wasmMemory({ growth: growExactly }), Number.POSITIVE_INFINITY),
  })),
  subject("wasm, shared", () => ({ shared: true })),
  subject("wasm, shared, reserved", () => ({ shared: true, ...reserved })),
  subject("js", () => ({ backend: "js" })),
  subject("js, reserved", () => ({ backend: "js", ...reserved })),
  subject("js, tiny", () => ({ backend: "js", ...tiny })),
  subject("js, above 2 GiB", () => ({
    backend: "js",
    memory: wasmMemory({ offset: 2 ** 31 + 65536 }),
  })),
  subject("js, fixed ArrayBuffer", () => ({
    backend: "js",
    memory: arrayBuffer({ buffer: new ArrayBuffer(2 ** 28) }),
  })),
  subject("js, shared", () => ({
    backend: "js",
    shared: true,
    memory: sharedArrayBuffer({ maximum: 2 ** 28 }),
  })),
  subject("js, shared, over WebAssembly.Memory", () => ({
    backend: "js",
    shared: true,
    memory: wasmMemory({ shared: true }),
  })),
];
