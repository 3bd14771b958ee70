/**
 * The heap under C's names, for modules that import their malloc: libc, POSIX and BSD, mimalloc
 * (every name also with its `mi_`), first-class heaps, and C++'s operators as wasm32 mangles them.
 */

import type { CoreExports } from "../../core/contract.ts";
import { arenasAbi } from "./abi-arenas.ts";
import { processAbi, statsAbi } from "./abi-process.ts";
import type { AbiFunction, AbiHost, BackEnd } from "./contract.ts";
import { OS_PAGE } from "./family.ts";
import { environmentCopy, wideCopy } from "./wide.ts";

type CoreName = keyof CoreExports;

/** C's names of functions that the core has under another name or the same. */
const direct = {
  malloc: "malloc",
  free: "free",
  calloc: "calloc",
  realloc: "realloc",
  memalign: "memalign",
  aligned_alloc: "aligned_alloc",
  posix_memalign: "posix_memalign",
  malloc_usable_size: "malloc_usable_size",
  reallocarray: "reallocarray",
  reallocarr: "reallocarr",
  strdup: "strdup",
  strndup: "strndup",
  zalloc: "zalloc",
  malloc_small: "malloc",
  zalloc_small: "zalloc",
  mallocn: "mallocn",
  reallocn: "reallocn",
  reallocf: "reallocf",
  rezalloc: "rezalloc",
  recalloc: "recalloc",
  expand: "expand",
  usable_size: "usableSize",
  malloc_size: "usableSize",
  good_size: "goodSize",
  malloc_good_size: "goodSize",
  realloc_aligned: "reallocAligned",
  realloc_aligned_at: "reallocAlignedAt",
  rezalloc_aligned_at: "rezallocAlignedAt",
  zalloc_aligned_at: "zallocAlignedAt",
  free_size: "freeSize",
  free_aligned: "freeSize",
  free_size_aligned: "freeSizeAligned",
  is_in_heap_region: "contains",
  new: "operatorNew",
  new_aligned: "operatorNewAligned",
} satisfies Record<string, CoreName>;

/** Operators of C++; size_t is `m` where it is unsigned long, `j` in old toolchains. */
const operators: Record<string, CoreName> = { _ZdlPv: "free", _ZdaPv: "free" };
for (const size of ["m", "j"]) {
  for (const [make, drop] of [
    ["_Znw", "_ZdlPv"],
    ["_Zna", "_ZdaPv"],
  ]) {
    operators[`${make}${size}`] = "operatorNew";
    operators[`${make}${size}St11align_val_t`] = "operatorNewAligned";
    operators[`${drop}${size}`] = "freeSize";
    operators[`${drop}${size}St11align_val_t`] = "freeSizeAligned";
    operators[`${drop}St11align_val_t`] = "freeSize";
    operators[`${drop}RKSt9nothrow_t`] = "freeSize";
    operators[`${drop}St11align_val_tRKSt9nothrow_t`] = "freeSizeAligned";
  }
}

/** Of the names in `direct`, those that exist for a heap that is named first: heap_malloc … */
export const ofHeap: readonly string[] = [
  ...["malloc", "zalloc", "calloc", "mallocn", "malloc_small", "zalloc_small", "strdup", "strndup"],
  "realpath",
  ...["realloc", "reallocn", "reallocf", "rezalloc", "recalloc", "realloc_aligned"],
  ...["realloc_aligned_at", "rezalloc_aligned_at", "zalloc_aligned_at", "malloc_aligned"],
  ...["malloc_aligned_at", "zalloc_aligned", "calloc_aligned", "calloc_aligned_at"],
  ...["rezalloc_aligned", "recalloc_aligned", "recalloc_aligned_at"],
];

/**
 * C's allocation functions. They check nothing that C would not: a request that cannot be met
 * answers 0. From JavaScript their results are signed; use `>>> 0`.
 */
export type HeapAbi = Readonly<
  Pick<
    CoreExports,
    | "malloc"
    | "free"
    | "calloc"
    | "realloc"
    | "memalign"
    | "aligned_alloc"
    | "posix_memalign"
    | "malloc_usable_size"
    | "reallocarray"
    | "strdup"
    | "strndup"
  > &
    Record<string, AbiFunction>
>;

/** The wasm core's exports as they are, so that a call from wasm to wasm passes no JavaScript. */
export function abiOf(core: CoreExports, backEnd: BackEnd, host: AbiHost): HeapAbi {
  const call = (name: CoreName) => (backEnd === "js" ? unsigned(core[name]) : core[name]);
  const named = (table: Record<string, CoreName>) =>
    Object.entries(table).map(([name, from]) => [name, call(from) as AbiFunction]);
  const abi: Record<string, AbiFunction> = Object.fromEntries([
    ...named(direct),
    ...named(operators),
  ]);
  if (backEnd === "js") Object.assign(abi, hot(core));
  Object.assign(abi, derived(core), news(core, host));
  Object.assign(abi, microsoft(core, abi, host));
  abi.realpath = (path = 0, into = 0) => host.heap.realpath(path >>> 0, into >>> 0);
  Object.assign(abi, heaps(core, abi));
  const wide = { core, bytes: () => host.bytes() };
  const names: Record<string, AbiFunction> = {
    ...abi,
    ...prefixed(abi),
    ...processAbi(),
    ...statsAbi(host),
  };
  const { arenas } = host;
  const store = (at: number, value: number) => wordStore(host.bytes(), at >>> 0, value);
  Object.assign(names, arenasAbi({ arenas, store, heapIn: (id) => heapIn(core, id) }));
  names.mi_wcsdup = (p = 0) => wideCopy(wide, p >>> 0, 2);
  return names as HeapAbi;
}

function wordStore(bytes: Uint8Array, at: number, value: number): void {
  if (at !== 0) new DataView(bytes.buffer).setUint32(at, value, true);
}

function heapIn(core: CoreExports, arena: number): number {
  const heap = arena === 0 ? 0 : core.heapNew();
  if (heap === 0 || core.heapLimit(heap, 0, arena)) return heap;
  core.heapDelete(heap);
  return 0;
}

/** mimalloc's own names. */
function prefixed(abi: Record<string, AbiFunction>): Record<string, AbiFunction> {
  const names = Object.keys(abi).filter((name) => !name.startsWith("_Z"));
  return Object.fromEntries(names.map((name) => [`mi_${name}`, abi[name] as AbiFunction]));
}

/** WebAssembly hands the JavaScript core signed numbers; some of its answers are booleans. */
function unsigned(call: (...args: number[]) => unknown): AbiFunction {
  return (a = 0, b = 0, c = 0, d = 0) => {
    const answer = call(a >>> 0, b >>> 0, c >>> 0, d >>> 0);
    return answer === undefined ? undefined : Number(answer);
  };
}

/** One function each and not a common wrapper: V8 inlines the core only into such a call. */
function hot(core: CoreExports): Record<string, AbiFunction> {
  return {
    malloc: (size = 0) => core.malloc(size >>> 0),
    free: (p = 0) => core.free(p >>> 0),
    calloc: (count = 0, size = 0) => core.calloc(count >>> 0, size >>> 0),
    realloc: (p = 0, size = 0) => core.realloc(p >>> 0, size >>> 0),
  };
}

/** count * size, or more than any block has. */
function product(count: number, size: number): number {
  return Math.min((count >>> 0) * (size >>> 0), 0xffffffff);
}

/** What C callers need rarely: a step through JavaScript instead of bytes in the core. */
function derived(core: CoreExports): Record<string, AbiFunction> {
  const zalloc = (size: number, alignment: number, offset: number) =>
    core.zallocAlignedAt(size >>> 0, alignment >>> 0, offset >>> 0);
  const rezalloc = (p: number, size: number, alignment: number, offset: number) =>
    core.rezallocAlignedAt(p >>> 0, size >>> 0, alignment >>> 0, offset >>> 0);
  const over = (p: number, alignment: number) =>
    alignment === 0 ? 0 : ((p >>> 0) % (alignment >>> 0)) >>> 0;
  return {
    malloc_aligned: (size = 0, al = 0) => core.memalign(al >>> 0, size >>> 0),
    malloc_aligned_at: (size = 0, al = 0, at = 0) =>
      core.memalignAt(al >>> 0, size >>> 0, at >>> 0),
    zalloc_aligned: (size = 0, al = 0) => zalloc(size, al, 0),
    calloc_aligned: (count = 0, size = 0, al = 0) => zalloc(product(count, size), al, 0),
    calloc_aligned_at: (count = 0, size = 0, al = 0, at = 0) =>
      zalloc(product(count, size), al, at),
    rezalloc_aligned: (p = 0, size = 0, al = 0) => rezalloc(p, size, al, over(p, al)),
    recalloc_aligned: (p = 0, count = 0, size = 0, al = 0) =>
      rezalloc(p, product(count, size), al, over(p, al)),
    recalloc_aligned_at: (p = 0, count = 0, size = 0, al = 0, at = 0) =>
      rezalloc(p, product(count, size), al, at),
    valloc: (size = 0) => core.memalign(OS_PAGE, size >>> 0),
    pvalloc: (size = 0) => {
      const bytes = Math.ceil((size >>> 0) / OS_PAGE) * OS_PAGE;
      return bytes > 0xffffffff ? 0 : core.memalign(OS_PAGE, bytes);
    },
    cfree: (p = 0) => {
      if (core.contains(p >>> 0)) core.free(p >>> 0);
    },
  };
}

/** What mimalloc has of other C libraries. Wide characters of wasm32 have 4 bytes. */
function microsoft(
  core: CoreExports,
  abi: Record<string, AbiFunction>,
  host: AbiHost,
): Record<string, AbiFunction> {
  const place = { core, bytes: () => host.bytes() };
  const words = (a: number, b: number, c: number): [number, number, number] => [
    a >>> 0,
    b >>> 0,
    c >>> 0,
  ];
  return {
    _expand: abi.expand as AbiFunction,
    aligned_recalloc: abi.recalloc_aligned as AbiFunction,
    aligned_offset_recalloc: abi.recalloc_aligned_at as AbiFunction,
    mbsdup: abi.strdup as AbiFunction,
    wcsdup: (p = 0) => wideCopy(place, p >>> 0, 4),
    dupenv_s: (out = 0, size = 0, name = 0) => environmentCopy(place, words(out, size, name), 1),
    wdupenv_s: (out = 0, size = 0, name = 0) => environmentCopy(place, words(out, size, name), 2),
  };
}

function news(core: CoreExports, host: AbiHost): Record<string, AbiFunction> {
  const resize = (p: number, size: number) => {
    let moved = core.realloc(p >>> 0, size);
    for (; moved === 0; moved = core.realloc(p >>> 0, size)) host.newFailed(size);
    return moved;
  };
  return {
    ...nothrows(host),
    new_n: (count = 0, size = 0) => core.operatorNew(product(count, size)),
    new_realloc: (p = 0, size = 0) => resize(p, size >>> 0),
    new_reallocn: (p = 0, count = 0, size = 0) => resize(p, product(count, size)),
  };
}

function nothrows(host: AbiHost): Record<string, AbiFunction> {
  const plain = (size = 0) => host.heap.newNothrow(size >>> 0);
  const aligned = (size = 0, al = 0) => host.heap.newAlignedNothrow(size >>> 0, al >>> 0);
  const abi: Record<string, AbiFunction> = { new_nothrow: plain, new_aligned_nothrow: aligned };
  for (const make of ["_Znwm", "_Znam", "_Znwj", "_Znaj"]) {
    abi[`${make}RKSt9nothrow_t`] = plain;
    abi[`${make}St11align_val_tRKSt9nothrow_t`] = aligned;
  }
  return abi;
}

/** mimalloc's first-class heaps; a heap is its id, and ids are what C passes around. */
function heaps(core: CoreExports, abi: Record<string, AbiFunction>): Record<string, AbiFunction> {
  const within =
    (call: AbiFunction) =>
    (heap = 0, a = 0, b = 0, c = 0, d = 0) => {
      const was = core.heapBind(heap >>> 0);
      try {
        return call(a, b, c, d);
      } finally {
        core.heapBind(was);
      }
    };
  const calls = ofHeap.map((name) => [`heap_${name}`, within(abi[name] as AbiFunction)]);
  return {
    ...Object.fromEntries(calls),
    heap_alloc_new: within(abi.new as AbiFunction),
    heap_alloc_new_n: within(abi.new_n as AbiFunction),
    collect: (force = 0) => {
      core.heapCollect(force);
      if (force !== 0) core.purge(1);
    },
    heap_collect: within((force = 0) => core.heapCollect(force)),
    heap_new: () => core.heapNew(),
    heap_delete: (heap = 0) => core.heapDelete(heap >>> 0),
    heap_destroy: (heap = 0) => core.heapDestroy(heap >>> 0),
    heap_get_default: () => core.heapBound(),
    heap_set_default: (heap = 0) => core.heapBind(heap >>> 0),
    heap_get_backing: () => core.heapBacking(),
    heap_contains_block: (heap = 0, p = 0) => Number(core.heapOf(p >>> 0) >>> 0 === heap >>> 0),
    heap_check_owned: (heap = 0, p = 0) =>
      Number((p & 7) === 0 && core.heapOf(p >>> 0) >>> 0 === heap >>> 0),
    check_owned: (p = 0) =>
      Number((p & 7) === 0 && core.heapOf(p >>> 0) >>> 0 === core.heapBound() >>> 0),
  };
}
