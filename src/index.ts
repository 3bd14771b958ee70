/** terrane: a heap for TypeScript and WebAssembly. */
export type { AbiFunction, HeapAbi } from "./abi.ts";
export type { BackEnd, ErrorHandler, ThreadSeat } from "./backend.ts";
export { attachHeap, createHeap } from "./create.ts";
export { HeapError, type HeapErrorCode } from "./errors.ts";
export { FirstClassHeap } from "./first-class.ts";
export type { HardeningFeature, HardeningOption, HardeningState } from "./hardening.ts";
export { Heap, type VisitOptions } from "./heap.ts";
export type { DeferredFree } from "./heap-host.ts";
export type { AttachOptions, HeapOptions } from "./options.ts";
export { type OutputHandler, registerOutput } from "./output.ts";
export type { PurgeSettings } from "./purge.ts";
export { options } from "./report.ts";
export type { Environment, RuntimeOption, RuntimeOptions } from "./runtime-options.ts";
export { type HeapHandle, SharedHeap, type SharedVisitOptions } from "./shared-heap.ts";
export { HeapView, type TypedArray, type TypedArrayConstructor } from "./views.ts";
export type { AreaVisitor, BlockVisitor, HeapArea, HeapStats } from "./walk.ts";
