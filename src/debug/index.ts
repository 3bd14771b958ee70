/// <reference lib="esnext.disposable" preserve="true" />
/** An allocator that finds mistakes: `terrane/debug`. */
export type { DebugAbi } from "./abi.ts";
export type { DebugHandle } from "./attach.ts";
export type { AllocatorLike, BackingAllocator } from "./backing.ts";
export {
  type AttachDebugOptions,
  attachDebug,
  DebugAllocator,
  type DebugStats,
  debug,
} from "./debug.ts";
export type { DeferredFree } from "./deferred.ts";
export { failAfter, failing, failRandomly } from "./failing.ts";
export type { Place } from "./frames.ts";
export { type GuardedAllocator, type GuardedStats, guarded } from "./guarded.ts";
export type { GuardedAbi } from "./guarded-abi.ts";
export type { GuardedBelow } from "./guarded-below.ts";
export type { GuardedOptions } from "./guarded-options.ts";
export { DebugHeap } from "./heaps.ts";
export type { DebugOptions } from "./options.ts";
export {
  MemoryMistake,
  type MistakeCode,
  Report,
  type ReportJson,
  type ReportSink,
  type Trace,
} from "./report.ts";
export type { Frame } from "./sites.ts";
export { expectNoLeaks, expectNoLeaksWhenFull } from "./testing.ts";
export type { DebugVisitOptions } from "./visit.ts";
