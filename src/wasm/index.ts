/** `terrane/wasm`: reading, changing and checking finished WebAssembly modules. */

export { type FindOptions, findAllocator } from "./allocators/finder.ts";
export type { AllocatorFunction, Source, Sureness } from "./allocators/roles.ts";
export { Checker, type LeakReports } from "./check/checker.ts";
export { type Instrumented, type InstrumentOptions, instrument } from "./check/instrument.ts";
export { createEmscriptenHooks, type EmscriptenHooks, loadChecked } from "./check/loaders.ts";
export {
  formatReport,
  type Kind,
  kinds,
  type Report,
  type ReportBlock,
} from "./check/report.ts";
export { type CheckerOptions, CheckHalt } from "./check/reporter.ts";
export { readSuppressions, type Suppression } from "./check/suppress.ts";
export type { CodeHook } from "./module/codesection.ts";
export { type Emit, type MemoryImport, ModuleEditor, type Rewritten } from "./module/editor.ts";
export { ModuleError, type ModuleErrorCode } from "./module/errors.ts";
export type * from "./module/module.ts";
export type { OffsetMap } from "./module/offsets.ts";
export { readModule } from "./module/reader.ts";
export type { CodeWriter } from "./module/writer.ts";
export { type ImportedHeap, overrideImports } from "./override/import.ts";
export {
  type Overridden,
  type OverrideForm,
  type OverrideOptions,
  type OverrideReport,
  override,
} from "./override/override.ts";
export type { Fate, Planned } from "./override/plan.ts";
export {
  BLOCK_OVERHEAD,
  OBJECT_OVERHEAD,
  Rtrace,
  type RtraceBlock,
  type RtraceOptions,
  TOTAL_OVERHEAD,
} from "./run/rtrace.ts";
export type { Frame } from "./symbols/frame.ts";
export { Symbols } from "./symbols/symbols.ts";
