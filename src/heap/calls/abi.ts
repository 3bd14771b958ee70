/**
 * The heap under C's names, for modules that import their malloc: libc, POSIX and BSD, mimalloc
 * (every name also with its `mi_`), sub-heaps, and C++'s operators as wasm32 mangles them.
 */

import type { CoreExports } from "../../core/contract.ts";
import { arenasAbi } from "./abi-arenas.ts";
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

/** The wasm core's exports as they are, so that a call from wasm to wasm passes no JavaScript. */
export function abiOf(core: CoreExports, backEnd: BackEnd, host: AbiHost): HeapAbi {
  const own: Functions = backEnd === "js" ? unsigned(core) : { ...(core as unknown as Functions) };
  const { statistics, arenas, events } = host;
  const state = { core, host: events, contains: (ptr: number) => !!core.contains(ptr) };
  const functionOf = (call: CallName) => own[coreNames[call] ?? call] ?? derived(state, call);
  const abi: Record<string, AbiFunction> = {};
  const add = (name: string, target: AbiFunction) => {
    for (const each of prefixed(name)) abi[each] = target;
  };
  for (const [call, row] of callRows) {
    const target = functionOf(call);
    for (const name of names(row)) add(name, target);
    for (const name of heapNames(row)) add(name, within(core, target));
  }
  for (const { name, call, arity } of operators()) {
    abi[name] = call.startsWith("free") ? own[frees[arity - 1] as string]! : functionOf(call);
  }
  for (const [name, target] of Object.entries(heapFunctions(core))) add(name, target);
  const store = (at: number, value: number) => wordStore(events.bytes(), at >>> 0, value);
  const heapIn = (arena: number) => heapNewIn(core, arena);
  return Object.assign(
    abi,
    arenasAbi({ arenas, store, heapIn }),
    processAbi(),
    statsAbi(statistics, events),
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

function heapNewIn(core: CoreExports, arena: number): number {
  const heap = arena === 0 ? 0 : core.heapNew();
  if (heap === 0 || core.heapLimit(heap, 0, arena)) return heap;
  core.heapDelete(heap);
  return 0;
}

/** A function on a heap that is named first. */
function within(core: CoreExports, call: AbiFunction): AbiFunction {
  return (heap = 0, a = 0, b = 0, c = 0, d = 0, e = 0) => {
    const was = core.heapBind(heap >>> 0);
    try {
      return call(a, b, c, d, e);
    } finally {
      core.heapBind(was);
    }
  };
}

/** mimalloc's sub-heaps; a heap is its id, and ids are what C passes around. */
function heapFunctions(core: CoreExports): Functions {
  const isOwned = (heap: number, p: number) =>
    Number((p & 7) === 0 && core.heapOf(p >>> 0) >>> 0 === heap >>> 0);
  return {
    collect: (force = 0) => {
      core.heapCollect(force);
      if (force !== 0) core.purge(1);
    },
    heap_collect: within(core, (force = 0) => core.heapCollect(force)),
    heap_new: () => core.heapNew(),
    heap_delete: (heap = 0) => core.heapDelete(heap >>> 0),
    heap_destroy: (heap = 0) => core.heapDestroy(heap >>> 0),
    heap_get_default: () => core.heapBound(),
    heap_set_default: (heap = 0) => core.heapBind(heap >>> 0),
    heap_get_backing: () => core.heapBacking(),
    heap_contains_block: (heap = 0, p = 0) => Number(core.heapOf(p >>> 0) >>> 0 === heap >>> 0),
    heap_check_owned: (heap = 0, p = 0) => isOwned(heap, p),
    check_owned: (p = 0) => isOwned(core.heapBound(), p),
  };
}
