/** Which functions are tried, and as what. Names and shapes only nominate; tests decide. */
import { findAllocator } from "../allocators/finder.ts";
import { type AllocatorFunction, type Role, role, type Source } from "../allocators/roles.ts";
import { functionType, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import type { Trial } from "./trial.ts";

/** How a function came to be tried: as `findAllocator` has it, or by the way to memory.grow. */
export type Evidence = Source | "growth" | "caller" | "state";

/** A function to be tried. */
export interface Nominee extends Trial {
  /** Its name in the module; `function 12` if it has none. */
  readonly name: string;
  readonly evidence: Evidence;
}

/** Rust's names as demanglers write them, with the hashes of crates. */
const DEMANGLED =
  /^<?dlmalloc(?:\[\w+\])?::dlmalloc::Dlmalloc(?:<.*>)?>?::(malloc|free|realloc|memalign)$/;
const DEMANGLED_GLOBAL = /(?:^|::)__(?:rust|rdl|rg)_(alloc|dealloc|realloc|alloc_zeroed)$/;
/** Rust's mangling of version 0, with disambiguators between the names of crate and module. */
const MANGLED_V0 =
  /^_R.*8dlmalloc(?:s\w*_)?8dlmalloc.*8Dlmalloc.*?\d(malloc|free|realloc|memalign)(?:B\w*_|C|$)/;

/**
 * Functions that the module's names, exports and shapes nominate, C's malloc and free first; those
 * that the user names are tried before others of the same kind.
 */
export function nomineesFind(module: Module, given: readonly AllocatorFunction[] = []): Nominee[] {
  const isGiven = new Set(given.map((each) => each.index));
  const others = findAllocator(module).filter((each) => !isGiven.has(each.index));
  const found: Nominee[] = [...given, ...others]
    .filter((each) => each.index >= module.importedFunctions)
    .map(({ index, name, role: known, source }) => ({
      index,
      name,
      role: known,
      evidence: source,
    }));
  const known = new Set(found.map((each) => each.index));
  for (const [index, name] of functionNames(module)) {
    if (known.has(index) || index < module.importedFunctions) continue;
    const match = roleOfDemangled(module, index, name);
    if (match) found.push({ index, name, role: match, evidence: "name" });
  }
  return found.sort((a, b) => rank(a.role) - rank(b.role));
}

function rank({ family }: Role): number {
  const families = ["malloc", "rust", "assemblyscript", "zig", "new", "new[]"];
  return families.indexOf(family);
}

/** Whether a function of Rust's dlmalloc has kept the parameter `self`. */
export function takesSelf({ family, params }: Role): boolean {
  return family === "rust" && params[0] === "-";
}

function roleOfDemangled(module: Module, index: number, name: string): Role | undefined {
  const crate = (DEMANGLED.exec(name) ?? MANGLED_V0.exec(name))?.[1];
  const global = DEMANGLED_GLOBAL.exec(name)?.[1];
  const wanted = crate ?? (global && `__rust_${global}`);
  if (wanted === undefined) return undefined;
  return rolesOf(module, index).find((each) => each.name === wanted)?.role;
}

/** A role that a function of a certain type may have, and its name. */
interface Form {
  readonly type: string;
  readonly name: string;
  readonly role: Role;
}

function form(type: string, known: Role): Form {
  return { type, name: known.name, role: known };
}

/**
 * The roles in which a function is tried of which only the type is known: those first that promise
 * the most, since a calloc also passes as malloc.
 */
const forms: readonly Form[] = [
  form("1>1", role("malloc", "malloc", "alloc", "size")),
  form("1>1", role("malloc_usable_size", "malloc", "usable", "ptr")),
  form("1>0", role("free", "malloc", "free", "ptr")),
  form("2>1", role("realloc", "malloc", "realloc", "ptr", "size")),
  form("2>1", role("calloc", "malloc", "zero", "count", "size")),
  form("2>1", role("__rust_alloc_zeroed", "rust", "zero", "size", "align")),
  form("2>1", role("memalign", "malloc", "alloc", "align", "size")),
  form("2>1", role("__rust_alloc", "rust", "alloc", "size", "align")),
  form("2>0", role("__rust_dealloc", "rust", "free", "ptr", "size")),
  form("3>0", role("__rust_dealloc", "rust", "free", "ptr", "size", "align")),
  form("3>1", role("__rust_realloc", "rust", "realloc", "ptr", "old", "size")),
  form("3>1", role("posix_memalign", "malloc", "posix", "out", "align", "size")),
  form("4>1", role("__rust_realloc", "rust", "realloc", "ptr", "old", "align", "size")),
  form("4>1", role("__rust_realloc", "rust", "realloc", "ptr", "old", "size", "align")),
];

/** The roles of functions that get the address of the state first, as in Rust's dlmalloc. */
const selfForms: readonly Form[] = [
  form("2>1", role("malloc", "rust", "alloc", "-", "size")),
  form("2>0", role("free", "rust", "free", "-", "ptr")),
  form("3>1", role("realloc", "rust", "realloc", "-", "ptr", "size")),
  form("3>1", role("memalign", "rust", "alloc", "-", "align", "size")),
];

/** The roles in which a function may be tried, by its type. */
export function rolesOf(module: Module, index: number): readonly Form[] {
  return formsOf(module, index, forms);
}

/** The roles in which a function may be tried that takes the address of the state. */
export function selfRolesOf(module: Module, index: number): readonly Form[] {
  return formsOf(module, index, selfForms);
}

function formsOf(module: Module, index: number, known: readonly Form[]): readonly Form[] {
  const { params, results } = functionType(module, index);
  const type = `${params.length}>${results.length}`;
  return known.filter((each) => each.type === type);
}

/** Roles in which a function can be the malloc of a pair. */
export function allocRolesOf(module: Module, index: number): Role[] {
  return rolesOf(module, index)
    .map((each) => each.role)
    .filter(({ action }) => action === "alloc");
}

/** Roles in which a function can be the free of a pair. */
export function freeRolesOf(module: Module, index: number): Role[] {
  return rolesOf(module, index)
    .map((each) => each.role)
    .filter(({ action }) => action === "free");
}
