/** Makes a checked module of a finished one. */

import { type FindOptions, findAllocator } from "../allocators/finder.ts";
import { type Reach, reachOf } from "../allocators/reach.ts";
import type { AllocatorFunction } from "../allocators/roles.ts";
import { DefinedHook, definedAdd, definedImport } from "../definedness/hook.ts";
import { ModuleEditor } from "../module/editor.ts";
import { unsupported } from "../module/errors.ts";
import { functionType, KIND, type Limits, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import type { OffsetMap } from "../module/offsets.ts";
import { op } from "../module/opcodes.ts";
import { readModule } from "../module/reader.ts";
import { I32 } from "../module/value-types.ts";
import { i32s } from "../module/writer.ts";
import { CheckHook, checkFunctionsAdd } from "../shadow/access-checks.ts";
import { GLOBAL_EXPORT, HOST_MODULE, hookPlace, hooksImport } from "../shadow/allocator-hooks.ts";
import { HEAP_BYTES, HEAP_BYTES_DEFINED, type Layout, layoutMake } from "../shadow/layout.ts";

export interface InstrumentOptions extends FindOptions {
  /** Address space for blocks and their red zones, in bytes. Default: 512 MiB, or half. */
  readonly heapBytes?: number | undefined;
  /** Takes functions for the allocator because they look like one: see AllocatorFunction.sure. */
  readonly guess?: boolean | undefined;
  /** Follows which bits of memory and of values are defined, to find uses of what never was. */
  readonly uninitialised?: boolean | undefined;
}

/** A checked module and what is needed to run it: see Checker. */
export interface Instrumented {
  /** The checked module. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The original. */
  readonly module: Module;
  /** The allocator functions that were replaced. */
  readonly functions: readonly AllocatorFunction[];
  readonly layout: Layout;
  /** Whether reads of what was never written are looked for. */
  readonly uninitialised: boolean;
  /** Under which names the checked module imports its memory. */
  readonly memory: { readonly module: string; readonly name: string; readonly shared: boolean };
  /** From offsets in the checked module to offsets in the original. */
  readonly offsets: OffsetMap;
  /** The original's index of a function of the checked module; undefined for one that was added. */
  readonly originalFunction: (index: number) => number | undefined;
  /** How many accesses have got a check. */
  readonly checks: number;
}

/**
 * Puts checks into a module: every load, store, atomic, vector and bulk access asks the shadow
 * memory first, and the functions that allocate are ours. The result needs a Checker to run.
 *
 * @throws ModuleError when the bytes are damaged, or the module has no memory, more than one, or
 * one of 64 bits.
 * @throws RangeError when a function that the options name is not there, or when the allocator is
 * only guessed and the options do not confirm it.
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
  const limits = memoryCheck(module);
  const follows = options.uninitialised === true;
  const heapBytes = options.heapBytes ?? (follows ? HEAP_BYTES_DEFINED : HEAP_BYTES);
  const layout = layoutMake(limits, heapBytes, follows);
  const functions = findAllocator(module, options).filter((each) => each.source !== "import");
  if (options.guess !== true) guessRefuse(functions);
  const editor = new ModuleEditor(module);
  const hooks = hooksImport(editor);
  const report = editor.importFunction(HOST_MODULE, "report", i32s(3), []);
  const defined = follows ? definedImport(editor) : undefined;
  const memory = memoryReplace(editor, layout, limits);
  const checks = checkFunctionsAdd(editor, layout, report);
  functions.forEach((found, who) => {
    hookPlace(editor, found, who, hooks, checks.context);
  });
  const reach = reachOf(
    module,
    functions.map((each) => each.index),
  );
  exportsReset(editor, reach, checks.context);
  globalsExport(editor);
  const exempt = exemptFind(module, functions);
  const hook = new CheckHook({
    module,
    layout,
    functions: checks,
    leads: reach.leads,
    indirectLeads: reach.indirect,
    exempt,
    peeks: functions.some((each) => each.role.family === "rust"),
  });
  const follower =
    defined &&
    new DefinedHook(
      {
        ...{ module, layout, functions: definedAdd(editor, layout, defined) },
        functionIndex: (old) => editor.functionIndex(old),
        foreign: new Set([...exempt, ...functions.map((each) => each.index)]),
      },
      hook,
    );
  const { bytes: checked, offsets } = editor.write(follower ?? hook, "terrane-checked");
  return {
    bytes: checked,
    module,
    functions,
    layout,
    uninitialised: follows,
    memory,
    offsets,
    originalFunction: (index) => editor.originalFunction(index),
    checks: hook.checks,
  };
}

/** A wrong guess would report mistakes that are none, so the user has to confirm it. */
function guessRefuse(functions: readonly AllocatorFunction[]): void {
  if (functions.every((each) => each.sure === "certain")) return;
  const list = functions.map((each) => `${each.role.name}: ${each.index}`).join(", ");
  throw new RangeError(
    `the module has no names; what looks like its allocator is { ${list} }; ` +
      "confirm with functions or with guess",
  );
}

function memoryCheck(module: Module): Limits {
  const [memory, second] = module.memories;
  if (!memory) throw unsupported(0, "checking a module without memory");
  if (second) throw unsupported(0, "checking a module with more than one memory");
  if (memory.limits.is64) throw unsupported(0, "checking a memory with 64-bit addresses");
  return memory.limits;
}

/** The checked module imports its memory, so that the host has it before the first instruction. */
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

/** A call from outside has no callers of ours: its context starts anew. */
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

/** Globals hold pointers, the stack pointer among them. */
function globalsExport(editor: ModuleEditor): void {
  editor.module.globals.forEach((global, index) => {
    if (global.type === I32 && global.mutable && !global.imported) {
      editor.addExport(`${GLOBAL_EXPORT}${index}`, KIND.global, index);
    }
  });
}

/** AssemblyScript's collector reads the headers of blocks, which no program may. */
const RUNTIME_NAME = /^~lib\/rt\//;

function exemptFind(module: Module, functions: readonly AllocatorFunction[]): Set<number> {
  if (!functions.some((each) => each.role.family === "assemblyscript")) return new Set();
  const names = [...functionNames(module)];
  return new Set(names.filter(([, name]) => RUNTIME_NAME.test(name)).map(([index]) => index));
}
