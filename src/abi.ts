/** The heap under C's names, for modules that import their malloc. */
import type { BackEnd } from "./backend.ts";
import type { CoreExports } from "./core/contract.ts";

const names = [
  "malloc",
  "free",
  "calloc",
  "realloc",
  "memalign",
  "aligned_alloc",
  "posix_memalign",
  "malloc_usable_size",
  "reallocarray",
  "strdup",
  "strndup",
] as const;

/**
 * C's allocation functions. They check nothing that C would not: a request that cannot be met
 * answers 0. From JavaScript their results are signed; use `>>> 0`.
 */
export type HeapAbi = Readonly<Pick<CoreExports, (typeof names)[number]>>;

/** The wasm core's exports as they are, so that a call from wasm to wasm passes no JavaScript. */
export function abiOf(core: CoreExports, backEnd: BackEnd): HeapAbi {
  if (backEnd === "js") return unsigned(core);
  return Object.fromEntries(names.map((name) => [name, core[name]])) as unknown as HeapAbi;
}

/**
 * WebAssembly hands the JavaScript core signed numbers. One function each and not a common wrapper:
 * V8 inlines the core only into a call that sees one function.
 */
function unsigned(core: CoreExports): HeapAbi {
  return {
    malloc: (size) => core.malloc(size >>> 0),
    free: (p) => core.free(p >>> 0),
    calloc: (count, size) => core.calloc(count >>> 0, size >>> 0),
    realloc: (p, size) => core.realloc(p >>> 0, size >>> 0),
    memalign: (alignment, size) => core.memalign(alignment >>> 0, size >>> 0),
    aligned_alloc: (alignment, size) => core.aligned_alloc(alignment >>> 0, size >>> 0),
    posix_memalign: (out, alignment, size) =>
      core.posix_memalign(out >>> 0, alignment >>> 0, size >>> 0),
    malloc_usable_size: (p) => core.malloc_usable_size(p >>> 0),
    reallocarray: (p, count, size) => core.reallocarray(p >>> 0, count >>> 0, size >>> 0),
    strdup: (p) => core.strdup(p >>> 0),
    strndup: (p, max) => core.strndup(p >>> 0, max >>> 0),
  };
}
