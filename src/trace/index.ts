/** Reads allocation traces and replays them on any allocator. */

export type { Allocator } from "./allocators.ts";
export { AllocatorError, allocators, findTraceAllocator } from "./allocators.ts";
export type { Measure } from "./measure.ts";
export { measureRun, ReplayError } from "./measure.ts";
export type { Trace, TraceFacts } from "./ops.ts";
export { TraceError } from "./ops.ts";
export { readTrace, TraceParser } from "./reader.ts";
export type { ReplayOptions, ReplayResult } from "./replay.ts";
export { replaySteps, runReplay } from "./replay.ts";
export type { CFunctions, Subject } from "./subject.ts";
export { linearSubject } from "./subject.ts";
