/** terrane: a heap for TypeScript and WebAssembly. */
export type { HeapAbi } from "./abi.ts";
export type { BackEnd, ErrorHandler } from "./backend.ts";
export { HeapError, type HeapErrorCode } from "./errors.ts";
export { createHeap, Heap } from "./heap.ts";
export type { HeapOptions } from "./options.ts";
export { HeapView, type TypedArray, type TypedArrayConstructor } from "./views.ts";
export type { BlockVisitor, HeapStats } from "./walk.ts";
