/** Adds checks to a finished module. */

import { PAGE_BYTES, PAGES_MOST } from "../../common/constants.ts";
import { flagOption, type OptionCheck, optionOf, optionsCheck } from "../../common/option-table.ts";
import { type Reach, reachOf } from "../allocators/reach.ts";
import type { AllocatorFunction } from "../allocators/roles.ts";
import { DefinedHook, definedAdd, definedImport } from "../definedness/hook.ts";
import { ModuleEditor } from "../module/editor.ts";
import { damaged, ModuleError, unsupported } from "../module/errors.ts";
import { functionType, KIND, type Limits, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import type { OffsetMap } from "../module/offsets.ts";
import { op } from "../module/opcodes.ts";
import { readModule } from "../module/reader.ts";
import { I32 } from "../module/value-types.ts";
import { i32s } from "../module/writer.ts";
import {
  type DecideOptions,
  type Decision,
  decideAllocator,
  decideChecks,
} from "../override/decide.ts";
import { CheckHook, checkFunctionsAdd } from "../shadow/access-checks.ts";
import { bodyReplace, GLOBAL_EXPORT, HOST_MODULE, hooksImport } from "../shadow/allocator-hooks.ts";
import { HEAP_BYTES, HEAP_BYTES_DEFINED, type Layout, layoutMake } from "../shadow/layout.ts";
import { Watching } from "../shadow/watch-hooks.ts";

/** Options of `instrument`. */
export interface InstrumentOptions extends DecideOptions {
  /**
   * Address space for blocks and their red zones, in bytes. Default: 512 MiB, or 256 MiB with
   * `uninitialised`.
   */
  readonly heapBytes?: number | undefined;
  /**
   * Follows which bits of memory and values are defined, to find uses of memory that was never
   * written. Default: false. The program takes about five times as long as the original.
   */
  readonly uninitialised?: boolean | undefined;
  /** The most bytes of memory that the program may have. Default: what the module allows. */
  readonly maxMemory?: number | undefined;
}

const isNumber = (value: unknown) => typeof value === "number";

const instrumentChecks: readonly OptionCheck[] = [
  ...decideChecks,
  flagOption("uninitialised"),
  optionOf("heapBytes", "a number of bytes", isNumber),
  optionOf("maxMemory", "a number of bytes", isNumber),
];

/** A checked module, and what a `Checker` needs to run it. */
export interface Instrumented {
  /** The file of the checked module. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The original. */
  readonly module: Module;
  /** The allocator's functions that were replaced, or that are watched. */
  readonly functions: readonly AllocatorFunction[];
  /**
   * What is done with the allocator: `replace` the checker allocates, `watch` the program keeps its
   * allocator, and frees are delayed, `none` blocks are not known, and only accesses outside of the
   * memory and through null pointers are found.
   */
  readonly mode: "replace" | "watch" | "none";
  /** Why that is done, in words. */
  readonly because: string;
  /** Whether code outside of the allocator looks at the headers of blocks. */
  readonly headers: boolean;
  /** Where the parts of the module's memory are. */
  readonly layout: Layout;
  /** Whether definedness is followed. */
  readonly uninitialised: boolean;
  /** How the checked module imports its memory. */
  readonly memory: {
    /** Name of the module that it is imported from. */
    readonly module: string;
    /** Its name in that module. */
    readonly name: string;
    /** Whether threads can share it. */
    readonly shared: boolean;
  };
  /** Leads from offsets in the checked module to offsets in the original. */
  readonly offsets: OffsetMap;
  /** The index in the original of a function of the checked module; undefined if it was added. */
  readonly originalFunction: (index: number) => number | undefined;
  /** The most bytes of memory that the program may have: its `malloc` returns 0 beyond. */
  readonly maxMemory: number;
  /**
   * The original's indices of functions that have no checks, since engines refuse code as large as
   * theirs would be.
   */
  readonly unchecked: readonly number[];
  /** How many accesses have a check. */
  readonly checks: number;
}

/**
 * Adds checks to a module: every load, store, atomic, vector and bulk access is checked with the
 * shadow memory first, and the functions that allocate call the checker. The result needs a
 * `Checker` to run.
 *
 * @param bytes the file; it does not change.
 * @throws ModuleError if the file is damaged, or the module has no memory, more than one, or one
 *   with 64-bit addresses.
 * @throws RangeError if a function that the options name does not exist or has another type.
 * @example
 * const checker = new Checker(instrument(bytes));
 * const { instance } = await WebAssembly.instantiate(
 *   checker.instrumented.bytes,
 *   checker.importObject({ env }),
 * );
 * checker.attach(instance);
 */
export function instrument(bytes: Uint8Array, options: InstrumentOptions = {}): Instrumented {
  const module = readModule(bytes);
  optionsCheck(instrumentChecks, options);
  memoryCheck(module);
  return ifValid(module, () => {
    const decision = decideAllocator(module, options);
    const whole = moduleInstrument(module, decision, options, []);
    const large = whole.unchecked;
    return large.length === 0 ? whole : moduleInstrument(module, decision, options, large);
  });
}

/** Code that is not valid can make the rewriting fail in any way: the engine has the reason. */
function ifValid<T>(module: Module, rewrite: () => T): T {
  try {
    return rewrite();
  } catch (error) {
    const isOurs = error instanceof ModuleError || error instanceof RangeError;
    const bytes = module.bytes as Uint8Array<ArrayBuffer>;
    if ((isOurs && !isEngines(error)) || WebAssembly.validate(bytes)) throw error;
    throw damaged(0, "the code is not valid, so it cannot be rewritten");
  }
}

/** A RangeError of the engine, and not of an option. */
function isEngines(error: Error): boolean {
  return /^(Invalid |Offset |offset |Maximum |Array |invalid )/.test(error.message);
}

/** @param unchecked functions that get no checks. */
function moduleInstrument(
  module: Module,
  decision: Decision,
  options: InstrumentOptions,
  unchecked: readonly number[],
): Instrumented {
  const limits = limitsOf(module, options.maxMemory);
  const follows = options.uninitialised === true;
  const heapBytes = options.heapBytes ?? (follows ? HEAP_BYTES_DEFINED : HEAP_BYTES);
  const layout = layoutMake(limits, heapBytes, follows);
  const mode = modeOf(decision);
  const functions = functionsOf(decision, mode);
  const editor = new ModuleEditor(module);
  const install =
    mode === "watch" ? watchInstall(editor, functions) : replaceInstall(editor, functions);
  const report = editor.importFunction(HOST_MODULE, "report", i32s(3), []);
  const defined = follows ? definedImport(editor) : undefined;
  const memory = memoryReplace(editor, layout, limits);
  const checks = checkFunctionsAdd(editor, layout, report);
  install(checks.context);
  const reach = reachOf(
    module,
    functions.map((each) => each.index),
  );
  exportsReset(editor, reach, checks.context);
  globalsExport(editor);
  const exempt = new Set([...exemptFind(module, functions), ...unchecked]);
  const own = mode === "watch" ? ownFunctions(decision) : functions.map((each) => each.index);
  const isRust = functions.some((each) => each.role.family === "rust");
  const headers = isRust || decision.header !== undefined;
  const hook = new CheckHook({
    module,
    layout,
    functions: checks,
    leads: reach.leads,
    indirectLeads: reach.indirect,
    exempt,
    readsHeaders: headers,
  });
  const follower =
    defined &&
    new DefinedHook(
      {
        ...{ module, layout, functions: definedAdd(editor, layout, defined) },
        functionIndex: (old) => editor.functionIndex(old),
        excluded: new Set([...exempt, ...own]),
      },
      hook,
    );
  const written = editor.write(follower ?? hook, "terrane-checked");
  return {
    bytes: written.bytes,
    module,
    functions,
    mode,
    because: decision.because,
    headers,
    layout,
    uninitialised: follows,
    memory,
    offsets: written.offsets,
    maxMemory: (limits.max ?? PAGES_MOST) * PAGE_BYTES,
    unchecked: [...unchecked, ...written.tooLarge],
    originalFunction: (index) => editor.originalFunction(index),
    checks: hook.checks,
  };
}

function modeOf({ verdict, functions }: Decision): Instrumented["mode"] {
  if (verdict === "replace") return "replace";
  return verdict === "watch" && functions.length > 0 ? "watch" : "none";
}

/**
 * Functions that only call the allocator keep their bodies, except those that have the names of an
 * allocator: C++'s operators and Rust's functions say more than what they call, and stacks begin at
 * their callers.
 */
function functionsOf(
  { functions, kept }: Decision,
  mode: Instrumented["mode"],
): readonly AllocatorFunction[] {
  if (mode === "none") return [];
  if (mode === "watch") return functions;
  const isNamed = ({ role, source }: AllocatorFunction) =>
    /^new/.test(role.family) || source === "name" || source === "given";
  return functions.filter((each) => !kept.has(each.index) || isNamed(each));
}

/** All functions of the allocator, which may read what it has not written. */
function ownFunctions({ functions, proof }: Decision): number[] {
  const left = proof?.leftovers.map((each) => each.index) ?? [];
  return [...functions.map((each) => each.index), ...left, ...(proof?.helpers ?? [])];
}

/** Imports what bodies need at once, and gives the functions their bodies later. */
type Install = (context: number) => void;

function replaceInstall(editor: ModuleEditor, functions: readonly AllocatorFunction[]): Install {
  const hooks = hooksImport(editor);
  return (context) =>
    functions.forEach((found, number) => {
      bodyReplace(editor, found, number, hooks, context);
    });
}

function watchInstall(editor: ModuleEditor, functions: readonly AllocatorFunction[]): Install {
  const watching = new Watching(editor);
  return (context) => watching.install(functions, context);
}

/** @throws RangeError if the module starts with more than `maxMemory`. */
function limitsOf(module: Module, maxMemory: number | undefined): Limits {
  const limits = memoryCheck(module);
  if (maxMemory === undefined) return limits;
  const max = Math.min(limits.max ?? PAGES_MOST, Math.floor(maxMemory / PAGE_BYTES));
  if (max >= limits.min) return { ...limits, max };
  const bytes = limits.min * PAGE_BYTES;
  throw new RangeError(`the module starts with ${bytes} bytes, more than ${maxMemory}`);
}

function memoryCheck(module: Module): Limits {
  const [memory, second] = module.memories;
  if (!memory) throw unsupported(0, "checking a module without memory");
  if (second) throw unsupported(0, "checking a module with more than one memory");
  if (memory.limits.is64) throw unsupported(0, "checking a memory with 64-bit addresses");
  return memory.limits;
}

/** The checked module imports its memory, so that the host can prepare it before the start. */
function memoryReplace(editor: ModuleEditor, layout: Layout, limits: Limits) {
  const { pages } = layout;
  const { shared } = limits;
  const imported = editor.module.memories[0]?.imported;
  const wide: Limits = { min: pages, max: pages, shared, is64: false };
  if (imported) {
    const from = editor.module.imports.find((each) => each.kind === KIND.memory);
    editor.setMemory(wide);
    return { module: from?.module ?? "", name: from?.name ?? "", shared };
  }
  editor.setMemory(wide, { module: HOST_MODULE, name: "memory" });
  return { module: HOST_MODULE, name: "memory", shared };
}

/** A call from the host has no calling context: exports start with an empty one. */
function exportsReset(editor: ModuleEditor, reach: Reach, context: number): void {
  const { exports, importedFunctions } = editor.module;
  const targets = new Set(
    exports.filter((each) => each.kind === KIND.function).map((each) => each.index),
  );
  for (const old of targets) {
    if (old < importedFunctions || !reach.leads[old]) continue;
    const index = editor.functionIndex(old);
    const entry = editor.addFunctionLike(old, `entry ${old}`, (code) => {
      code.const(0).with(op.globalSet, context);
      functionType(editor.module, old).params.forEach((_, i) => {
        code.get(i);
      });
      code.call(index);
    });
    editor.redirectExports(index, entry);
  }
}

/** Globals may be pointers; one may be the stack pointer. */
function globalsExport(editor: ModuleEditor): void {
  editor.module.globals.forEach((global, index) => {
    if (global.type === I32 && global.mutable && !global.imported) {
      editor.addExport(`${GLOBAL_EXPORT}${index}`, KIND.global, index);
    }
  });
}

/** AssemblyScript's collector reads the headers of blocks, so it gets no checks. */
const RUNTIME_NAME = /^~lib\/rt\//;

function exemptFind(module: Module, functions: readonly AllocatorFunction[]): Set<number> {
  if (!functions.some((each) => each.role.family === "assemblyscript")) return new Set();
  const names = [...functionNames(module)];
  return new Set(names.filter(([, name]) => RUNTIME_NAME.test(name)).map(([index]) => index));
}
