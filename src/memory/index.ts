/** `terrane/memory`: where the bytes of a heap come from. */
export {
  type ArrayBufferOptions,
  arrayBuffer,
  type SharedArrayBufferOptions,
  sharedArrayBuffer,
} from "./buffers.ts";
export { type FailingMemory, failingMemory } from "./failing.ts";
export { type Fault, FaultWatch, watchFaults } from "./os/faults.ts";
export { type OsMemory, type OsMemoryOptions, osMemory } from "./os/memory.ts";
export { type OsPages, type OsPagesMissing, osPages, type ReserveOptions } from "./os/pages.ts";
export type { Residency } from "./os/residency.ts";
export { type SourcePages, tryOsPages, withOsPages } from "./os/source-pages.ts";
export type { Releasing } from "./release-option.ts";
export {
  type SimulatedMemory,
  type SimulatedOptions,
  simulatedMemory,
} from "./simulated.ts";
export type { PageCall, SimulatedPages } from "./simulated-pages.ts";
export {
  type GrowthOptions,
  type GrowthPolicy,
  growEighth,
  growExactly,
  type HugePages,
  type MemoryCapabilities,
  type MemorySource,
  type NumaNodes,
  type PageOperations,
} from "./source.ts";
export { type WasmMemoryOptions, wasmMemory } from "./wasm-memory.ts";
