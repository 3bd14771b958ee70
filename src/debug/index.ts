/// <reference lib="esnext.disposable" preserve="true" />
/** Allocators that find mistakes with memory: `terrane/debug`. */
export type { DebugAbi } from "./allocator/abi.ts";
export {
  type AttachDebugOptions,
  attachDebug,
  DebugAllocator,
  type DebugDestroyOptions,
  type DebugStats,
  debug,
} from "./allocator/allocator.ts";
export type { DebugHandle } from "./allocator/attach.ts";
export { DebugHeap } from "./allocator/debug-heap.ts";
export type { DeferredFree } from "./allocator/deferred.ts";
export type { DebugVisitOptions } from "./allocator/visit.ts";
export type { GuardedBelow } from "./guarded/below.ts";
export type { GuardedStats } from "./guarded/blocks.ts";
export { type GuardedAllocator, guarded } from "./guarded/guarded.ts";
export type { GuardedAbi } from "./guarded/guarded-abi.ts";
export type { GuardedOptions } from "./guarded/options.ts";
export type { SourcePosition } from "./report/frames.ts";
export {
  MemoryMistake,
  Report,
  type ReportCode,
  type ReportJson,
  type ReportSink,
  type ReportStack,
} from "./report/report.ts";
export type { Frame } from "./report/stack-table.ts";
export type { AllocatorLike, BackingAllocator } from "./store/allocator-like.ts";
export type { DebugOptions } from "./store/options.ts";
export { failAfter, failing, failRandomly } from "./testing/failing.ts";
export { expectNoLeaks, expectNoLeaksWhenFull } from "./testing/testing.ts";
