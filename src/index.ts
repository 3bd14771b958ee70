/// <reference lib="esnext.disposable" preserve="true" />
/** terrane: a heap for TypeScript and WebAssembly. */
export type { AbiFunction, HeapAbi } from "./abi.ts";
export type {
  ArenaArea,
  ArenaOptions,
  HugePageOptions,
  ManageOptions,
  ReserveOptions,
} from "./arenas.ts";
export type { BackEnd, ErrorHandler, ThreadSeat } from "./backend.ts";
export type { HeapCounts } from "./counts.ts";
export { attachHeap, createHeap } from "./create.ts";
export { HeapError, type HeapErrorCode } from "./errors.ts";
export { FirstClassHeap } from "./first-class.ts";
export type { Hardening, HardeningFeature, HardeningState } from "./hardened.ts";
export { Heap, type NewHeapOptions, type VisitOptions } from "./heap.ts";
export type { DeferredFree } from "./heap-host.ts";
export type { AttachOptions, HeapOptions } from "./options.ts";
export { type OutputHandler, registerOutput } from "./output.ts";
export type { ProcessInfo } from "./process-info.ts";
export type { PurgeSettings } from "./purge.ts";
export { options } from "./report.ts";
export type { Environment, RuntimeOption, RuntimeOptions } from "./runtime-options.ts";
export type { Sampled, SamplerOptions } from "./sampler.ts";
export { type HeapHandle, SharedHeap, type SharedVisitOptions } from "./shared-heap.ts";
export type { CountOf, Kind, KindCount } from "./tally.ts";
export { HeapView, type TypedArray, type TypedArrayConstructor } from "./views.ts";
export type { AreaVisitor, BinCount, BlockVisitor, HeapArea, HeapStats } from "./walk.ts";
export type { StatsLevel } from "./watching.ts";
