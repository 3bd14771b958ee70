/** What is to be done with a module: which functions get other bodies, where pages come from. */

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
  handsTo,
  instructionHas,
  leadsTo,
  leftoversFind,
  liveFind,
  reachedBy,
  sizeAskersFind,
} from "./live.ts";

/** Pages that a heap needs to begin: one for its state, one for blocks. */
const PAGES_LEAST = 2;
const PAGE = 65536;
/** How far from malloc a function stands that gets more memory for it. */
const SBRK_DEPTH = 3;
/** new[] without exceptions calls new[], which calls new, which calls malloc. */
const OPERATOR_DEPTH = 4;

interface PlanOptions extends FindOptions {
  readonly form: "merge" | "import";
  readonly guess: boolean;
  readonly maxMemory: number | undefined;
}

/** What becomes of a function of the allocator. */
export type Fate = "replaced" | "kept" | "unused";

export interface Planned extends AllocatorFunction {
  /**
   * `replaced`: it has a new body. `kept`: its own body calls one that is replaced. `unused`:
   * nothing calls it any more, its body is gone.
   */
  readonly fate: Fate;
}

interface Sbrk {
  readonly index: number;
  readonly name: string;
  readonly source: Source;
}

export interface Plan {
  readonly functions: readonly Planned[];
  /** The program's function that hands out its memory, when others than us ask it too. */
  readonly sbrk: Sbrk | undefined;
  /** Where the program's errno lies, if that could be found. */
  readonly errno: number | undefined;
  /** Functions that can run afterwards. */
  readonly live: Uint8Array;
  /** Of the memory, as they are to be. */
  readonly limits: Limits;
  readonly notes: readonly string[];
}

/**
 * @throws ModuleError when the memory is of a kind that a heap cannot have.
 * @throws RangeError when there is no allocator to replace, it is not sure enough, or the memory
 * has no room.
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
    limits: merged ? roomCheck(limits, sbrk, options.maxMemory) : limits,
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

/** Collectors that know every page of the memory: two owners of one memory cannot be. */
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
  if (found.length === 0) throw noneFound(all);
  if (options.guess || found.every((each) => each.sure === "certain")) return found;
  const list = found.map((each) => `--function ${each.role.name}=${each.index}`).join(" ");
  throw new RangeError(
    `it has not all names of functions; these look like its allocator: ${list}; ` +
      "confirm with these options or with --guess",
  );
}

function collectorCheck(module: Module): void {
  const names = [...functionNames(module).values()];
  const collector = COLLECTORS.find(([pattern]) => names.some((name) => pattern.test(name)));
  if (!collector) return;
  throw new RangeError(
    `its allocator is ${collector[1]}'s garbage collector, which takes all of the memory for ` +
      "its own: it cannot be replaced",
  );
}

function noneFound(all: readonly AllocatorFunction[]): RangeError {
  if (all.length === 0) {
    return new RangeError("no allocator was found; name its functions with --function");
  }
  const names = all.map((each) => each.name).join(", ");
  return new RangeError(`it imports its allocator (${names}): give it heap.abi when it is loaded`);
}

/**
 * C++'s operators mostly stand on malloc: those keep their bodies, with the handlers, exceptions
 * and counters that are in them. A delete that is free by another name has none.
 */
function keptFind(module: Module, found: readonly AllocatorFunction[]): Set<number> {
  const isOperator = ({ role }: AllocatorFunction) => /^new/.test(role.family);
  const indices = (list: readonly AllocatorFunction[]) => new Set(list.map((each) => each.index));
  const targets = indices(found.filter((each) => !isOperator(each)));
  const frees = indices(found.filter(({ role }) => role.name === "free"));
  const standing = found.filter((each) => {
    if (!isOperator(each) || frees.has(handsTo(module, each.index) ?? -1)) return false;
    return leadsTo(module, each.index, targets, OPERATOR_DEPTH);
  });
  return new Set(standing.map((each) => each.index));
}

/** What others than malloc ask for memory must be asked by us too; mostly there is no such. */
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
    "its memory is grown by JavaScript, which must be asked for more: name the function that " +
      "does with --function sbrk=INDEX",
  );
}

/**
 * The functions behind malloc when they know where the memory ends and cannot grow it: then
 * JavaScript does. Empty for all others.
 */
function hostGrownFind(module: Module, replaced: ReadonlySet<number>): number[] {
  const behind = [...reachedBy(module, replaced, SBRK_DEPTH)];
  if (behind.some((index) => flagsOf(module, index) & GROWS)) return [];
  return behind.some((each) => instructionHas(module, each, op.memorySize)) ? behind : [];
}

function isImported(module: Module, index: number): boolean {
  return index < module.importedFunctions;
}

function flagsOf(module: Module, index: number): number {
  return module.code.flags[index - module.importedFunctions] ?? 0;
}

/** Bytes in, address out, and it knows where the memory ends, or asks who does. */
function isSbrk(module: Module, index: number): boolean {
  if (isImported(module, index) || typeText(module, index) !== "127>127") return false;
  if (instructionHas(module, index, op.memorySize)) return true;
  const callees = module.code.calls[index - module.importedFunctions] ?? [];
  return callees.some((callee) => {
    if (isImported(module, callee) || typeText(module, callee) !== ">127") return false;
    return instructionHas(module, callee, op.memorySize);
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
    `parts of its allocator stay in use beside ours: ${list}; name what they do with ` +
      "--function, or accept that with --guess",
  );
}

function functionText(index: number, names: ReadonlyMap<number, string>): string {
  const name = names.get(index);
  return name === undefined ? `function ${index}` : `function ${index} (${name})`;
}

/** The memory's limits with room for a heap; a maximum is only raised for who asks. */
function roomCheck(limits: Limits, sbrk: Sbrk | undefined, maxMemory: number | undefined): Limits {
  const { min, max } = limits;
  const most = maxMemory === undefined ? max : Math.floor(maxMemory / PAGE);
  const has = most === undefined || most - min >= (sbrk ? 0 : PAGES_LEAST);
  if (has) return { ...limits, max: most };
  const bytes = `${min * PAGE} bytes and has ${most * PAGE}`;
  throw new RangeError(
    `its memory may not grow: it begins with ${bytes} at the most, and a heap begins behind ` +
      "them; --max-memory allows more",
  );
}

function importNotes(module: Module, replaced: ReadonlySet<number>): string[] {
  if (hostGrownFind(module, replaced).length === 0) return [];
  return [
    "its JavaScript grows the memory and makes views of it, and does not learn of what an " +
      "imported heap grows: merge it, or give the heap an initial size that is enough",
  ];
}

function isCalledBy(module: Module, { index }: Sbrk, callee: number): boolean {
  return (module.code.calls[index - module.importedFunctions] ?? []).includes(callee);
}

function notesMake(module: Module, live: Uint8Array, sbrk: Sbrk | undefined): string[] {
  const names = functionNames(module);
  // AssemblyScript's collector derives when to begin from it.
  if ([...names.values()].some((name) => name.startsWith("~lib/rt/"))) return [];
  const askers = sizeAskersFind(module, live).filter((index) => {
    const isSbrks = sbrk !== undefined && (index === sbrk.index || isCalledBy(module, sbrk, index));
    return !isSbrks && !(flagsOf(module, index) & GROWS);
  });
  const notes = askers.map(
    (index) =>
      `${functionText(index, names)} asks how large the memory is; if it takes what is there for ` +
      "its own, name it with --function sbrk=INDEX",
  );
  const isDynamic = module.imports.some(({ kind }) => kind === KIND.table);
  if (isDynamic && module.sections.some(({ name }) => name === "dylink.0")) {
    notes.push("modules that are loaded into this one's memory must take their malloc from it");
  }
  return notes;
}
