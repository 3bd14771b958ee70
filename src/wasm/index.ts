/** `terrane/wasm`: reading, changing and checking finished WebAssembly modules. */
export { Checker, type LeakReports } from "./checker.ts";
export type { CodeHook } from "./codesection.ts";
export { type Emit, type MemoryImport, ModuleEditor, type Rewritten } from "./editor.ts";
export { ModuleError, type ModuleErrorCode } from "./errors.ts";
export {
  type AllocatorFunction,
  allocatorFind,
  type FindOptions,
  type Source,
  type Sureness,
} from "./finder.ts";
export { type Instrumented, type InstrumentOptions, instrument } from "./instrument.ts";
export { type EmscriptenHooks, emscriptenHooks, loadChecked } from "./loaders.ts";
export type * from "./module.ts";
export type { OffsetMap } from "./offsets.ts";
export {
  type Overridden,
  type OverrideForm,
  type OverrideOptions,
  type OverrideReport,
  override,
} from "./override.ts";
export { type ImportedHeap, overrideImports } from "./override-import.ts";
export type { Fate, Planned } from "./override-plan.ts";
export { readModule } from "./reader.ts";
export {
  type Frame,
  type Kind,
  kinds,
  type Report,
  type ReportBlock,
  reportText,
} from "./report.ts";
export { type CheckerOptions, CheckHalt } from "./reporter.ts";
export {
  BLOCK_OVERHEAD,
  OBJECT_OVERHEAD,
  Rtrace,
  type RtraceBlock,
  type RtraceOptions,
  TOTAL_OVERHEAD,
} from "./rtrace.ts";
export { type Suppression, suppressionsRead } from "./suppress.ts";
export { Symbols } from "./symbols.ts";
export type { CodeWriter } from "./writer.ts";
