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
  const wrap = backEnd === "wasm" ? (call: Call) => call : unsigned;
  return Object.fromEntries(names.map((name) => [name, wrap(core[name] as Call)])) as HeapAbi;
}

type Call = (a?: number, b?: number, c?: number) => number | void;

/** WebAssembly hands the JavaScript core signed numbers. */
function unsigned(call: Call): Call {
  return (a = 0, b = 0, c = 0) => call(a >>> 0, b >>> 0, c >>> 0);
}
