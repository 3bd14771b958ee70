/** What is to be done with a module: which functions get other bodies, where pages come from. */

import { PAGE_BYTES } from "../../common/constants.ts";
import { WASI_ENOMEM } from "../../common/errno.ts";
import {
  type FindOptions,
  findAllocator,
  functionNamed,
  type Which,
} from "../allocators/finder.ts";
import type { AllocatorFunction, Source } from "../allocators/roles.ts";
import { unsupported } from "../module/errors.ts";
import { functionType, KIND, type Limits, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { op } from "../module/opcodes.ts";
import { GROWS } from "../module/scan.ts";
import {
  errnoFind,
  forwardsTo,
  hasInstruction,
  leadsTo,
  leftoversFind,
  liveFind,
  reachedBy,
  sizeReadersFind,
} from "./live.ts";

/** Pages that a heap needs to begin: one for its state, one for blocks. */
const PAGES_LEAST = 2;
/** The most calls from malloc to a function that gets more memory for it. */
const SBRK_DEPTH = 3;
/** new[] without exceptions calls new[], which calls new, which calls malloc. */
const OPERATOR_DEPTH = 4;

interface PlanOptions extends FindOptions {
  readonly form: "merge" | "import";
  readonly guess: boolean;
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

interface Sbrk {
  readonly index: number;
  readonly name: string;
  readonly source: Source;
}

export interface Plan {
  readonly functions: readonly Planned[];
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
 * @throws RangeError if no allocator was found, it is only guessed, or the memory has no space.
 */
export function planMake(module: Module, options: PlanOptions): Plan {
  const limits = memoryCheck(module, options.form);
  const { sbrk: given, ...roles } = options.functions ?? {};
  const found = foundCheck(module, findAllocator(module, { functions: roles }), options);
  const kept = keptFind(module, found);
  const replaced = new Set(found.map((each) => each.index).filter((index) => !kept.has(index)));
  const merged = options.form === "merge";
  const sbrk = merged ? sbrkFind(module, replaced, [given ?? []].flat()[0]) : undefined;
  const live = liveFind(module, replaced, sbrk ? [sbrk.index] : []);
  leftoversCheck(module, leftoversFind(module, live, replaced), options);
  const fate = (index: number): Fate =>
    live[index] === 0 ? "unused" : kept.has(index) ? "kept" : "replaced";
  return {
    functions: found.map((each) => ({ ...each, fate: fate(each.index) })),
    sbrk,
    errno: merged ? errnoFind(module, replaced, WASI_ENOMEM) : undefined,
    live,
    limits: merged ? spaceCheck(limits, sbrk, options.maxMemory) : limits,
    notes: merged ? notesMake(module, live, sbrk) : importNotes(module, replaced),
  };
}

function memoryCheck(module: Module, form: PlanOptions["form"]): Limits {
  const [memory, second] = module.memories;
  if (!memory) throw unsupported(0, "overriding a module without memory");
  if (second) throw unsupported(0, "overriding a module with more than one memory");
  if (memory.limits.is64) throw unsupported(0, "overriding a memory with 64-bit addresses");
  if (form === "merge" && memory.limits.shared) {
    throw unsupported(0, "merging a heap into a module with a shared memory; import it");
  }
  return memory.limits;
}

/** Garbage collectors that own all pages of the memory, by names of their functions. */
const COLLECTORS: readonly (readonly [RegExp, string])[] = [
  [/^runtime\.(?:gcMarkReachable|growHeap|initHeap)$/, "TinyGo"],
  [/^runtime\.mallocgc$/, "Go"],
];

function foundCheck(
  module: Module,
  all: readonly AllocatorFunction[],
  options: PlanOptions,
): AllocatorFunction[] {
  collectorCheck(module);
  const found = all.filter((each) => each.source !== "import");
  if (found.length === 0) throw noAllocatorError(all);
  if (options.guess || found.every((each) => each.sure === "certain")) return found;
  const list = found.map((each) => `--function ${each.role.name}=${each.index}`).join(" ");
  throw new RangeError(
    `the module has no names for all functions; these look like its allocator: ${list}; ` +
      "confirm with these options or with --guess",
  );
}

function collectorCheck(module: Module): void {
  const names = [...functionNames(module).values()];
  const collector = COLLECTORS.find(([pattern]) => names.some((name) => pattern.test(name)));
  if (!collector) return;
  throw new RangeError(
    `its allocator is ${collector[1]}'s garbage collector, which owns all of the memory: it ` +
      "cannot be replaced",
  );
}

function noAllocatorError(all: readonly AllocatorFunction[]): RangeError {
  if (all.length === 0) {
    return new RangeError("no allocator was found; name its functions with --function");
  }
  const names = all.map((each) => each.name).join(", ");
  return new RangeError(
    `it imports its allocator (${names}): pass createAbi(heap) as imports instead`,
  );
}

/**
 * C++'s operators mostly call malloc: those keep their bodies, with the handlers, exceptions and
 * counters that they have. A delete that only calls free has none of these, and is replaced.
 */
function keptFind(module: Module, found: readonly AllocatorFunction[]): Set<number> {
  const isOperator = ({ role }: AllocatorFunction) => /^new/.test(role.family);
  const indices = (list: readonly AllocatorFunction[]) => new Set(list.map((each) => each.index));
  const targets = indices(found.filter((each) => !isOperator(each)));
  const frees = indices(found.filter(({ role }) => role.name === "free"));
  const kept = found.filter((each) => {
    if (!isOperator(each) || frees.has(forwardsTo(module, each.index) ?? -1)) return false;
    return leadsTo(module, each.index, targets, OPERATOR_DEPTH);
  });
  return new Set(kept.map((each) => each.index));
}

/** The function that adds memory, if other code than malloc uses it; mostly there is none. */
function sbrkFind(
  module: Module,
  replaced: ReadonlySet<number>,
  given: Which | undefined,
): Sbrk | undefined {
  const names = functionNames(module);
  if (given !== undefined) {
    const index = functionNamed(module, given, names);
    if (!isSbrk(module, index)) throw new RangeError(`function ${given} cannot be sbrk`);
    return { index, name: names.get(index) ?? `function ${index}`, source: "given" };
  }
  const behind = hostGrownFind(module, replaced);
  if (behind.length === 0) return undefined;
  const [index, second] = behind.filter((each) => !replaced.has(each) && isSbrk(module, each));
  if (index !== undefined && second === undefined) {
    const name = names.get(index);
    const source = name === undefined ? "shape" : "name";
    return { index, name: name ?? `function ${index}`, source };
  }
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

function leftoversCheck(module: Module, leftovers: readonly number[], options: PlanOptions): void {
  if (leftovers.length === 0 || options.guess) return;
  const names = functionNames(module);
  const list = leftovers.map((index) => functionText(index, names)).join(", ");
  throw new RangeError(
    `parts of its allocator stay in use: ${list}; name their roles with --function, or accept ` +
      "that with --guess",
  );
}

function functionText(index: number, names: ReadonlyMap<number, string>): string {
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
