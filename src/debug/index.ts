/** An allocator that finds mistakes: `terrane/debug`. */
export type { DebugAbi } from "./abi.ts";
export type { AllocatorLike, BackingAllocator } from "./backing.ts";
export { DebugAllocator, type DebugStats, debug } from "./debug.ts";
export { failAfter, failing, failRandomly } from "./failing.ts";
export type { Place } from "./frames.ts";
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
