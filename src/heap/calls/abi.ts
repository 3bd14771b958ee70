/**
 * The heap under C's names, for modules that import their malloc: libc, POSIX and BSD, mimalloc
 * (every name also with its `mi_`), sub-heaps, and C++'s operators as wasm32 mangles them.
 */

import { type ErrnoAbi, errnoReturning } from "../../common/errno.ts";
import type { CoreExports } from "../../core/contract.ts";
import { arenasAbi } from "./abi-arenas.ts";
import { callbacksAbi, type FunctionTable } from "./abi-callbacks.ts";
import { heapFunctions, heapIds, heapNewIn, within } from "./abi-heaps.ts";
import { processAbi, statsAbi } from "./abi-process.ts";
import type { AbiFunction, AbiHost, BackEnd, CFunctions } from "./contract.ts";
import { type HeapState, heapCalls } from "./heap-calls.ts";
import { type CallName, callRows, heapNames, names, operators, prefixed } from "./table.ts";

/**
 * C's allocation functions. They check nothing that C would not: a request that cannot be met
 * returns 0. From JavaScript their results are signed; use `>>> 0`.
 */
export type HeapAbi = CFunctions & Readonly<Record<string, AbiFunction>>;

type Functions = Readonly<Record<string, AbiFunction>>;

/** The core's functions of calls that it has under another name. */
const coreNames: Partial<Record<CallName, keyof CoreExports>> = {
  alignedAlloc: "aligned_alloc",
  posixMemalign: "posix_memalign",
  freeAligned: "freeSize",
  freeAlignedSized: "freeSizeAligned",
  mallocSize: "usableSize",
  mallocGoodSize: "goodSize",
  mbsdup: "strdup",
  new: "operatorNew",
  newAligned: "operatorNewAligned",
};

/** The core's free for each number of arguments: a wasm module links only what has its type. */
const frees = ["free", "freeSize", "freeSizeAligned"] as const;

/** What the functions need to know of the program that imports them. */
export interface AbiOptions {
  /**
   * Whose numbers of errno the functions return: WASI's, as in <errno.h> of wasi-libc and
   * emscripten, or Linux's. Default: "wasi".
   */
  readonly errno?: ErrnoAbi | undefined;
  /**
   * The table of the module's functions, or a function that returns it: for calls that take a
   * function, such as mi_register_output. Default: none, and these calls throw.
   */
  readonly table?: FunctionTable | undefined;
}

/** The wasm core's exports as they are, so that a call from wasm to wasm passes no JavaScript. */
export function abiOf(
  core: CoreExports,
  backEnd: BackEnd,
  host: AbiHost,
  { errno = "wasi", table }: AbiOptions = {},
): HeapAbi {
  const own: Functions = backEnd === "js" ? unsigned(core) : { ...(core as unknown as Functions) };
  const { statistics, arenas, events } = host;
  const state = { core, host: events, contains: (ptr: number) => !!core.contains(ptr) };
  const ids = heapIds(core, events);
  const functionOf = (call: CallName) => own[coreNames[call] ?? call] ?? derived(state, call);
  const abi: Record<string, AbiFunction> = {};
  const add = (name: string, target: AbiFunction) => {
    for (const each of prefixed(name)) abi[each] = target;
  };
  for (const [call, row] of callRows) {
    const found = functionOf(call);
    const isLinux = row.returns !== "errno" || errno === "linux"; // the core's own numbers
    const target = isLinux ? found : errnoReturning(errno, found);
    for (const name of names(row)) add(name, target);
    for (const name of heapNames(row)) add(name, within(core, ids, target));
  }
  for (const { name, call, arity } of operators()) {
    abi[name] = call.startsWith("free") ? own[frees[arity - 1] as string]! : functionOf(call);
  }
  for (const [name, target] of Object.entries(heapFunctions(core, ids))) add(name, target);
  const store = (at: number, value: number) => wordStore(events.bytes(), at >>> 0, value);
  const heapIn = (arena: number) => heapNewIn(core, arena);
  return Object.assign(
    abi,
    arenasAbi({ arenas, store, heapIn, errno }),
    processAbi(statistics),
    statsAbi(statistics, events),
    callbacksAbi({ core, host: events, statistics, table, errno }),
  ) as unknown as HeapAbi;
}

/** A function that the core does not have: a step through JavaScript, not bytes in the core. */
function derived(state: HeapState, call: CallName): AbiFunction {
  const run = heapCalls[call];
  return (a = 0, b = 0, c = 0, d = 0, e = 0) =>
    numberOf(run(state, a >>> 0, b >>> 0, c >>> 0, d >>> 0, e >>> 0));
}

/** What the JavaScript core does without an end, or only at multiples of 4. */
const unbound = ["strdup", "strndup", "posix_memalign", "reallocarr"];

/** The JavaScript core for WebAssembly, which hands it signed numbers. */
function unsigned(core: CoreExports): Functions {
  const wrap =
    (call: (...args: number[]) => unknown): AbiFunction =>
    (a = 0, b = 0, c = 0, d = 0) =>
      numberOf(call(a >>> 0, b >>> 0, c >>> 0, d >>> 0));
  const wrapped = Object.entries(core)
    .filter(([name]) => !unbound.includes(name))
    .map(([name, call]) => [name, wrap(call)]);
  return { ...Object.fromEntries(wrapped), ...hot(core) };
}

/** One function each and not a common wrapper: V8 inlines the core only into such a call. */
function hot(core: CoreExports): Functions {
  return {
    malloc: (size = 0) => core.malloc(size >>> 0),
    free: (p = 0) => core.free(p >>> 0),
    calloc: (count = 0, size = 0) => core.calloc(count >>> 0, size >>> 0),
    realloc: (p = 0, size = 0) => core.realloc(p >>> 0, size >>> 0),
  };
}

/** Some results of the JavaScript core are booleans. */
function numberOf(result: unknown): number | undefined {
  return result === undefined ? undefined : Number(result);
}

function wordStore(bytes: Uint8Array, at: number, value: number): void {
  if (at !== 0) new DataView(bytes.buffer).setUint32(at, value, true);
}
