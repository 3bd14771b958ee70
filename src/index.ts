/** terrane: a heap for TypeScript and WebAssembly. */
export type { HeapAbi } from "./abi.ts";
export type { BackEnd, ErrorHandler, ThreadSeat } from "./backend.ts";
export { attachHeap, createHeap } from "./create.ts";
export { HeapError, type HeapErrorCode } from "./errors.ts";
export { Heap } from "./heap.ts";
export type { AttachOptions, HeapOptions } from "./options.ts";
export { type HeapHandle, SharedHeap, type VisitOptions } from "./shared-heap.ts";
export { HeapView, type TypedArray, type TypedArrayConstructor } from "./views.ts";
export type { BlockVisitor, HeapStats } from "./walk.ts";
