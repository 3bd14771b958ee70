/// <reference lib="esnext.disposable" preserve="true" />
/** Automatic management and containers on the current allocator: `terrane/managed`. */
export { type Layout, ScalarArray, StructArray, struct } from "./array.ts";
export { ByteString } from "./bytes.ts";
export { Collector, type CollectorOptions, type CollectorStats, Handle } from "./collector.ts";
export { Counting, type CycleBlock, Weak } from "./counted.ts";
export { ManagedError, type ManagedErrorCode } from "./errors.ts";
export { type Kind, kind } from "./kinds.ts";
export { HashMap, type KeyOf } from "./map.ts";
export type { Scalar } from "./scalars.ts";
