/** What is to be done with a module: which functions get other bodies, where pages come from. */

import { PAGE_BYTES } from "../../common/constants.ts";
import { WASI_ENOMEM } from "../../common/errno.ts";
import { functionNamed, type Which } from "../allocators/finder.ts";
import type { AllocatorFunction } from "../allocators/roles.ts";
import { unsupported } from "../module/errors.ts";
import { functionType, KIND, type Limits, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { op } from "../module/opcodes.ts";
import { hasInstruction } from "../module/reader.ts";
import { GROWS } from "../module/scan.ts";
import type { ProgramBreak } from "../proof/break.ts";
import type { HeaderForm } from "./headers.ts";
import { errnoFind, liveFind, reachedBy, sizeReadersFind } from "./live.ts";

/** Pages that a heap needs to begin: one for its state, one for blocks. */
const PAGES_LEAST = 2;
/** The most calls from malloc to a function that gets more memory for it. */
const SBRK_DEPTH = 3;

/** What the plan is made of: what was proven, or what the user says. */
export interface PlanOptions {
  readonly form: "merge" | "import";
  /** The allocator's functions. */
  readonly found: readonly AllocatorFunction[];
  /** Those of them that keep their bodies. */
  readonly kept: ReadonlySet<number>;
  /** The layout of blocks, if code outside of the allocator looks at their headers. */
  readonly header: HeaderForm | undefined;
  /** The function that adds memory, if the user names it. */
  readonly sbrk: Which | undefined;
  /** The program's break, if it was found. */
  readonly programBreak: ProgramBreak | undefined;
  readonly maxMemory: number | undefined;
}

/**
 * What was done with a function of the allocator. `replaced`: it has a new body. `kept`: it has its
 * body, which calls a function that is replaced. `unused`: no function calls it any more, and its
 * code was removed.
 */
export type Fate = "replaced" | "kept" | "unused";

/** A function of the allocator, and what was done with it. */
export interface Planned extends AllocatorFunction {
  /** What was done with it. */
  readonly fate: Fate;
}

/** What is called for more memory: a function of the program, or one that is made like its sbrk. */
export interface Sbrk {
  /** The function; undefined if it is made. */
  readonly index: number | undefined;
  readonly name: string;
  /** What the made function moves and calls. */
  readonly programBreak: ProgramBreak | undefined;
}

export interface Plan {
  readonly functions: readonly Planned[];
  readonly header: HeaderForm | undefined;
  /** The program's function that adds memory, if other code than the allocator uses it. */
  readonly sbrk: Sbrk | undefined;
  /** The address of the program's errno, if it was found. */
  readonly errno: number | undefined;
  /** 1 for each function that can still run. */
  readonly live: Uint8Array;
  /** The limits that the memory gets. */
  readonly limits: Limits;
  readonly notes: readonly string[];
}

/**
 * @throws ModuleError if a heap cannot use the memory.
 * @throws RangeError if the memory has no space for a heap, or only JavaScript can add some.
 */
export function planMake(module: Module, options: PlanOptions): Plan {
  const { found, kept, form, header } = options;
  const limits = memoryCheck(module, form);
  const replaced = new Set(found.map((each) => each.index).filter((index) => !kept.has(index)));
  const merged = form === "merge";
  const sbrk = merged ? sbrkFind(module, replaced, options) : undefined;
  const live = liveFind(module, replaced, sbrk?.index === undefined ? [] : [sbrk.index]);
  const fate = (index: number): Fate =>
    live[index] === 0 ? "unused" : kept.has(index) ? "kept" : "replaced";
  return {
    functions: found.map((each) => ({ ...each, fate: fate(each.index) })),
    header,
    sbrk,
    errno: merged ? errnoFind(module, replaced, WASI_ENOMEM) : undefined,
    live,
    limits: merged ? spaceCheck(limits, sbrk, options.maxMemory) : limits,
    notes: merged ? notesMake(module, live, sbrk) : importNotes(module, replaced),
  };
}

export function memoryCheck(module: Module, form: PlanOptions["form"]): Limits {
  const [memory, second] = module.memories;
  if (!memory) throw unsupported(0, "overriding a module without memory");
  if (second) throw unsupported(0, "overriding a module with more than one memory");
  if (memory.limits.is64) throw unsupported(0, "overriding a memory with 64-bit addresses");
  if (form === "merge" && memory.limits.shared) {
    throw unsupported(0, "merging a heap into a module with a shared memory; import it");
  }
  return memory.limits;
}

/** The function that adds memory, if other code than malloc uses it; mostly there is none. */
function sbrkFind(
  module: Module,
  replaced: ReadonlySet<number>,
  { sbrk: given, programBreak }: PlanOptions,
): Sbrk | undefined {
  const names = functionNames(module);
  const named = (index: number): Sbrk => {
    return { index, name: names.get(index) ?? `function ${index}`, programBreak: undefined };
  };
  if (given !== undefined) {
    const index = functionNamed(module, given, names);
    if (isSbrk(module, index)) return named(index);
    throw new RangeError(`function ${given} cannot be sbrk`);
  }
  const behind = hostGrownFind(module, replaced);
  if (behind.length === 0) return undefined;
  const name = "the program's break, as its sbrk does";
  if (programBreak) return { index: undefined, name, programBreak };
  const [index, second] = behind.filter((each) => !replaced.has(each) && isSbrk(module, each));
  if (index !== undefined && second === undefined) return named(index);
  throw new RangeError(
    "JavaScript grows its memory, and must be called for more: name the function that does so " +
      "with --function sbrk=INDEX",
  );
}

/**
 * The functions that malloc calls, if they read the size of the memory and cannot grow it: then
 * JavaScript grows it. Otherwise empty.
 */
function hostGrownFind(module: Module, replaced: ReadonlySet<number>): number[] {
  const behind = [...reachedBy(module, replaced, SBRK_DEPTH)];
  if (behind.some((index) => flagsOf(module, index) & GROWS)) return [];
  return behind.some((each) => hasInstruction(module, each, op.memorySize)) ? behind : [];
}

function isImported(module: Module, index: number): boolean {
  return index < module.importedFunctions;
}

function flagsOf(module: Module, index: number): number {
  return module.code.flags[index - module.importedFunctions] ?? 0;
}

/** Takes bytes, returns an address, and reads the size of the memory, or calls such a function. */
function isSbrk(module: Module, index: number): boolean {
  if (isImported(module, index) || typeText(module, index) !== "127>127") return false;
  if (hasInstruction(module, index, op.memorySize)) return true;
  const callees = module.code.calls[index - module.importedFunctions] ?? [];
  return callees.some((callee) => {
    if (isImported(module, callee) || typeText(module, callee) !== ">127") return false;
    return hasInstruction(module, callee, op.memorySize);
  });
}

function typeText(module: Module, index: number): string {
  const { params, results } = functionType(module, index);
  return `${params}>${results}`;
}

/** A function as notes name it. */
export function functionText(index: number, names: ReadonlyMap<number, string>): string {
  const name = names.get(index);
  return name === undefined ? `function ${index}` : `function ${index} (${name})`;
}

/** The memory's limits, with space for a heap; only the option maxMemory raises the maximum. */
function spaceCheck(limits: Limits, sbrk: Sbrk | undefined, maxMemory: number | undefined): Limits {
  const { min, max } = limits;
  const most = maxMemory === undefined ? max : Math.floor(maxMemory / PAGE_BYTES);
  const has = most === undefined || most - min >= (sbrk ? 0 : PAGES_LEAST);
  if (has) return { ...limits, max: most };
  throw new RangeError(
    `its memory may not grow: it has ${min * PAGE_BYTES} bytes at its start and ` +
      `${most * PAGE_BYTES} at most, and the heap begins behind the start; ` +
      "allow more with --max-memory",
  );
}

function importNotes(module: Module, replaced: ReadonlySet<number>): string[] {
  if (hostGrownFind(module, replaced).length === 0) return [];
  return [
    "its JavaScript grows the memory and has views of it, which become empty when an imported " +
      "heap grows: merge the heap, or give it an initial size that is enough",
  ];
}

function isCalledBy(module: Module, { index }: Sbrk, callee: number): boolean {
  if (index === undefined) return false;
  return (module.code.calls[index - module.importedFunctions] ?? []).includes(callee);
}

function notesMake(module: Module, live: Uint8Array, sbrk: Sbrk | undefined): string[] {
  const names = functionNames(module);
  // AssemblyScript's collector reads the size only to decide when to begin.
  if ([...names.values()].some((name) => name.startsWith("~lib/rt/"))) return [];
  const readers = sizeReadersFind(module, live).filter((index) => {
    const isSbrks = sbrk !== undefined && (index === sbrk.index || isCalledBy(module, sbrk, index));
    return !isSbrks && !(flagsOf(module, index) & GROWS);
  });
  const notes = readers.map(
    (index) =>
      `${functionText(index, names)} reads the size of the memory; if it uses all memory up to ` +
      "that size, name it with --function sbrk=INDEX",
  );
  const isDynamic = module.imports.some(({ kind }) => kind === KIND.table);
  if (isDynamic && module.sections.some(({ name }) => name === "dylink.0")) {
    notes.push("modules that are loaded into this module's memory must import malloc from it");
  }
  return notes;
}
