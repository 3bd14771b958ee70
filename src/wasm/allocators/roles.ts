/** What allocator functions there are in the wild: their names, what their parameters mean. */

/** What a function does with blocks. */
export type Action = "alloc" | "zero" | "free" | "realloc" | "posix" | "usable" | "refuse";

/** Who may free what: `delete` what came from `new`, and so on. */
export type Family = "malloc" | "new" | "new[]" | "rust" | "zig" | "assemblyscript";

/**
 * The meaning of a parameter. `log2` is an alignment as a power of two; `out` is where to store.
 */
export type Param = "size" | "count" | "align" | "log2" | "ptr" | "old" | "out" | "-";

export interface Role {
  /** The name under which users know the function. */
  readonly name: string;
  readonly action: Action;
  readonly family: Family;
  readonly params: readonly Param[];
  /** Whether it answers one 32-bit integer. */
  readonly answers: boolean;
}

/** Where the knowledge comes from. */
export type Source = "given" | "name" | "export" | "import" | "shape";

/** How sure it is: certain; likely and guess are worth a look by the user. */
export type Sureness = "certain" | "likely" | "guess";

export interface AllocatorFunction {
  /** Index in the module. */
  readonly index: number;
  /** As the module calls it; `function 12` when it has no name. */
  readonly name: string;
  readonly role: Role;
  readonly source: Source;
  readonly sure: Sureness;
}

/** A role whose function answers unless it frees. */
export function role(name: string, family: Family, action: Action, ...params: Param[]): Role {
  return { name, action, family, params, answers: action !== "free" };
}

/** C's functions. */
const c: readonly Role[] = [
  role("malloc", "malloc", "alloc", "size"),
  role("free", "malloc", "free", "ptr"),
  role("calloc", "malloc", "zero", "count", "size"),
  role("realloc", "malloc", "realloc", "ptr", "size"),
  role("reallocarray", "malloc", "realloc", "ptr", "count", "size"),
  role("memalign", "malloc", "alloc", "align", "size"),
  role("aligned_alloc", "malloc", "alloc", "align", "size"),
  role("posix_memalign", "malloc", "posix", "out", "align", "size"),
  role("malloc_usable_size", "malloc", "usable", "ptr"),
];

/** Rust's global allocator, as the compiler calls it. */
const rust: readonly Role[] = [
  role("__rust_alloc", "rust", "alloc", "size", "align"),
  role("__rust_alloc_zeroed", "rust", "zero", "size", "align"),
  role("__rust_dealloc", "rust", "free", "ptr", "size", "align"),
  role("__rust_realloc", "rust", "realloc", "ptr", "old", "align", "size"),
];

/** Methods of Rust's dlmalloc crate; self comes first unless the optimiser has removed it. */
const crate: readonly Role[] = [
  role("malloc", "rust", "alloc", "-", "size"),
  role("free", "rust", "free", "-", "ptr"),
  role("realloc", "rust", "realloc", "-", "ptr", "size"),
  role("memalign", "rust", "alloc", "-", "align", "size"),
];

const assemblyScript: readonly Role[] = [
  role("__alloc", "assemblyscript", "alloc", "size"),
  role("__realloc", "assemblyscript", "realloc", "ptr", "size"),
  role("__free", "assemblyscript", "free", "ptr"),
];

/** Zig's allocator interface: context first, return address last. resize may always refuse. */
const zig: readonly Role[] = [
  role("alloc", "zig", "alloc", "-", "size", "log2", "-"),
  role("free", "zig", "free", "-", "ptr", "size", "log2", "-"),
  role("resize", "zig", "refuse", "-", "ptr", "old", "log2", "size", "-"),
  role("remap", "zig", "refuse", "-", "ptr", "old", "log2", "size", "-"),
];

function named(roles: readonly Role[], name: string): Role | undefined {
  return roles.find((each) => each.name === name);
}

/** Names that users may give: C's and Rust's. */
export const rolesToGive: readonly Role[] = [...c, ...rust];

const C_NAME = new RegExp(
  `^(?:__libc_|emscripten_builtin_|dl|_)?(${c.map((each) => each.name).join("|")})$`,
);
const RUST_NAME = /__(?:rust|rdl|rg)_(alloc|dealloc|realloc|alloc_zeroed)$/;
const CRATE_NAME = /8dlmalloc8dlmalloc.*?Dlmalloc.*?\d(malloc|free|realloc|memalign)(?:17h|B|$)/;
const CRATE_DEMANGLED = /^<?dlmalloc::dlmalloc::Dlmalloc<.*>::(malloc|free|realloc|memalign)\b/;
const ASSEMBLYSCRIPT_NAME = /^~lib\/rt\/(?:tlsf|stub)\/(__alloc|__realloc|__free)$/;
const ZIG_NAME = /^heap\.\w*[wW]asm\w*\.(alloc|free|resize|remap)$/;
const ZIG_NAME_OLD = /^heap\.WasmAllocator\.(alloc|free|resize|remap)$/;

/** The role of a function by its name in the name section or an export; undefined for others. */
export function roleOf(name: string): Role | undefined {
  const find = (pattern: RegExp, roles: readonly Role[], prefix = "") => {
    const match = pattern.exec(name)?.[1];
    return match === undefined ? undefined : named(roles, prefix + match);
  };
  return (
    find(C_NAME, c) ??
    find(RUST_NAME, rust, "__rust_") ??
    find(CRATE_NAME, crate) ??
    find(CRATE_DEMANGLED, crate) ??
    find(ASSEMBLYSCRIPT_NAME, assemblyScript) ??
    find(ZIG_NAME, zig) ??
    find(ZIG_NAME_OLD, zig) ??
    operatorRole(name)
  );
}

const OPERATOR = /^operator (new|delete)(\[\])?\((.*)\)$/;
const OPERATOR_MANGLED = /^_Z(nw|na|dl|da)((?:[jm]|Pv|St11align_val_t|RKSt9nothrow_t)*)$/;
const MANGLED_PARAMS: readonly (readonly [RegExp, Param])[] = [
  [/^[jm]|^unsigned (?:long|int)$/, "size"],
  [/^Pv|^void\*$/, "ptr"],
  [/^St11align_val_t|^std::align_val_t$/, "align"],
  [/^RKSt9nothrow_t|^std::nothrow_t const&$/, "-"],
];

/** C++'s operators new and delete in all forms, mangled or not. */
function operatorRole(name: string): Role | undefined {
  const plain = OPERATOR.exec(name);
  if (plain) return operatorOf(plain[1] === "new", plain[2] !== undefined, plain[3] as string);
  const mangled = OPERATOR_MANGLED.exec(name);
  if (!mangled) return undefined;
  const [, code, params] = mangled as unknown as [string, string, string];
  const list = params.replace(/[jm]|Pv|St11align_val_t|RKSt9nothrow_t/g, "$&, ");
  return operatorOf(code[0] === "n", code[1] === "a", list.replace(/, $/, ""));
}

function operatorOf(isNew: boolean, array: boolean, list: string): Role | undefined {
  const params = list.split(", ").map((text) => {
    return MANGLED_PARAMS.find(([pattern]) => pattern.test(text))?.[1];
  });
  if (!params.every((param) => param !== undefined)) return undefined;
  const verb = isNew ? "new" : "delete";
  const name = `operator ${verb}${array ? "[]" : ""}`;
  return role(name, array ? "new[]" : "new", isNew ? "alloc" : "free", ...params);
}
