/// <reference lib="esnext.disposable" preserve="true" />
/** terrane: a heap for TypeScript and WebAssembly. */

export type { ErrnoAbi } from "../common/errno.ts";
export { HeapError, type HeapErrorCode } from "../common/errors.ts";
export { options } from "../common/log.ts";
export { type OutputHandler, registerOutput } from "../common/log-output.ts";
export type { Environment, RuntimeOption, RuntimeOptions } from "../common/runtime-options.ts";
export { HeapView, type TypedArray, type TypedArrayConstructor } from "../common/views.ts";
export type { ErrorHandler } from "./backend.ts";
export type { AbiOptions, HeapAbi } from "./calls/abi.ts";
export type { FunctionTable } from "./calls/abi-callbacks.ts";
export type {
  AbiFunction,
  ArenaArea,
  ArenaOptions,
  BackEnd,
  HugePageOptions,
  ManageOptions,
  ReserveOptions,
} from "./calls/contract.ts";
export type { DeferredFree } from "./core-events.ts";
export { createHeap } from "./create.ts";
export { type AbiOwner, createAbi } from "./create-abi.ts";
export { createImports, type HeapImports, type ImportsOptions } from "./create-imports.ts";
export type { Hardening, HardeningFeature, HardeningState } from "./hardening-features.ts";
export { Heap } from "./heap.ts";
export { registerSampler, resetStats, setStatsLevel } from "./hooks.ts";
export type { HeapOptions, JavaScriptBackEnd, MemoryOptions } from "./options.ts";
export type { PurgeSettings } from "./purge-settings.ts";
export type { StatsLevel } from "./stats/contract.ts";
export type { HeapCounts } from "./stats/counts.ts";
export type { BinCount, HeapStats } from "./stats/numbers.ts";
export { type ProcessInfo, readProcessInfo } from "./stats/process-info.ts";
export type { Sampled, SamplerOptions } from "./stats/sampler.ts";
export { formatStats } from "./stats/stats-table.ts";
export type { CountOf, Kind, KindCount } from "./stats/tally.ts";
export type { AreaVisitor, BlockVisitor, HeapArea } from "./stats/walk.ts";
export { type DestroyOptions, SubHeap, type VisitOptions } from "./sub-heap.ts";
export type { NewHeapOptions } from "./sub-heaps.ts";
