/** The known allocator functions: their names, and what their parameters mean. */

/**
 * What a function does: `zero` allocates zeroed memory, `posix` is posix_memalign, `usable` returns
 * the size of a block, `refuse` returns 0 (Zig's resize and remap may always fail).
 */
export type Action = "alloc" | "zero" | "free" | "realloc" | "posix" | "usable" | "refuse";

/** Functions that belong together: `delete` frees what `new` has allocated, and so on. */
export type Family = "malloc" | "new" | "new[]" | "rust" | "zig" | "assemblyscript";

/**
 * The meaning of a parameter: `log2` is the binary logarithm of an alignment, `old` the size that
 * the block had, `out` the address where the pointer is stored, `-` has no meaning here.
 */
export type Param = "size" | "count" | "align" | "log2" | "ptr" | "old" | "out" | "-";

/** What an allocator function is. */
export interface Role {
  /** Its name in its language: `malloc`, `operator new`, `__rust_alloc`. */
  readonly name: string;
  /** What it does. */
  readonly action: Action;
  /** Which functions it belongs with. */
  readonly family: Family;
  /** The meaning of each parameter; all are 32-bit integers. */
  readonly params: readonly Param[];
  /** Whether it returns a 32-bit integer; otherwise it returns nothing. */
  readonly returns: boolean;
}

/**
 * How a function was found: `given` by the user, by its `name` in the name section, its `export`,
 * its `import`, by its `shape`: what its code does, or by `proof`: nothing pointed to it, and it
 * behaves so when it is run.
 */
export type Source = "given" | "name" | "export" | "import" | "shape" | "proof";

/** How certain the role of a function is. The user should confirm those that are not certain. */
export type Sureness = "certain" | "likely" | "guess";

/** A function with which a module allocates or frees. */
export interface AllocatorFunction {
  /** Its index in the module. */
  readonly index: number;
  /** Its name in the module; `function 12` if it has none. */
  readonly name: string;
  /** What it does. */
  readonly role: Role;
  /** How it was found. */
  readonly source: Source;
  /** How certain its role is. */
  readonly sure: Sureness;
}

/** A role; the function returns a value unless it frees. */
export function role(name: string, family: Family, action: Action, ...params: Param[]): Role {
  return { name, action, family, params, returns: action !== "free" };
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

/** Rust's global allocator, by the compiler's names. */
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

/** Roles that users may give to functions: C's and Rust's. */
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
