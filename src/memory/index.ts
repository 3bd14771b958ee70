/** Sources of memory: `terrane/memory`. */
export {
  type ArrayBufferOptions,
  arrayBuffer,
  type SharedArrayBufferOptions,
  sharedArrayBuffer,
} from "./buffers.ts";
export { type FailingMemory, failingMemory } from "./failing.ts";
export {
  type GrowthOptions,
  type GrowthPolicy,
  growEighth,
  growExactly,
  type MemoryCapabilities,
  type MemorySource,
  type PageOperations,
} from "./source.ts";
export { type WasmMemoryOptions, wasmMemory } from "./wasm-memory.ts";
