/**
 * The debug allocator under every name that Heap.abi has, for the import object of a wasm module,
 * and under C23's sized frees. What C leaves undefined is reported; a request that cannot be met
 * answers 0.
 */

import type { HeapAbi } from "../../heap/calls/abi.ts";
import { processAbi } from "../../heap/calls/abi-process.ts";
import type { AbiFunction } from "../../heap/calls/contract.ts";
import { MAIN_HEAP } from "../store/block.ts";
import type { Site } from "./calls.ts";
import type { Verbs } from "./calls-c.ts";

type VerbName = Exclude<keyof Verbs, "calls">;

/** Those that exist for a heap that is named first. */
const ofHeap: readonly string[] = [
  ...["malloc", "zalloc", "calloc", "mallocn", "malloc_small", "zalloc_small", "strdup", "strndup"],
  "realpath",
  ...["realloc", "reallocn", "reallocf", "rezalloc", "recalloc", "realloc_aligned"],
  ...["realloc_aligned_at", "rezalloc_aligned_at", "zalloc_aligned_at", "malloc_aligned"],
  ...["malloc_aligned_at", "zalloc_aligned", "calloc_aligned", "calloc_aligned_at"],
  ...["rezalloc_aligned", "recalloc_aligned", "recalloc_aligned_at"],
];

/** C's names of the verbs. Arguments come in the same order. */
const named = {
  malloc: "malloc",
  free: "free",
  calloc: "calloc",
  realloc: "realloc",
  memalign: "memalign",
  aligned_alloc: "alignedAlloc",
  posix_memalign: "posixMemalign",
  malloc_usable_size: "usableSize",
  reallocarray: "reallocn",
  reallocarr: "reallocarr",
  strdup: "strdup",
  strndup: "strndup",
  mbsdup: "mbsdup",
  wcsdup: "wcsdupC",
  dupenv_s: "dupenvS",
  wdupenv_s: "wdupenvS",
  realpath: "realpath",
  valloc: "valloc",
  pvalloc: "pvalloc",
  cfree: "cfree",
  free_sized: "freeSize",
  free_aligned_sized: "freeAlignedSized",
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
  malloc_aligned: "mallocAligned",
  malloc_aligned_at: "mallocAlignedAt",
  zalloc_aligned: "zallocAligned",
  zalloc_aligned_at: "zallocAlignedAt",
  calloc_aligned: "callocAligned",
  calloc_aligned_at: "callocAlignedAt",
  realloc_aligned: "reallocAligned",
  realloc_aligned_at: "reallocAlignedAt",
  rezalloc_aligned: "rezallocAligned",
  rezalloc_aligned_at: "rezallocAlignedAt",
  recalloc_aligned: "recallocAligned",
  recalloc_aligned_at: "recallocAlignedAt",
  _expand: "expand",
  aligned_recalloc: "recallocAligned",
  aligned_offset_recalloc: "recallocAlignedAt",
  free_size: "freeSize",
  free_aligned: "freeAligned",
  free_size_aligned: "freeSizeAligned",
  is_in_heap_region: "contains",
  new: "new",
  new_aligned: "newAligned",
  new_n: "newN",
  new_realloc: "newRealloc",
  new_reallocn: "newReallocn",
  new_nothrow: "newNothrow",
  new_aligned_nothrow: "newAlignedNothrow",
} satisfies Record<string, VerbName>;

/** C++'s operators; size_t is `m` where it is unsigned long, `j` in old toolchains. */
function operators(): Record<string, VerbName> {
  const table: Record<string, VerbName> = {};
  for (const [make, drop] of [
    ["_Znw", "_ZdlPv"],
    ["_Zna", "_ZdaPv"],
  ]) {
    table[`${drop}`] = "free";
    table[`${drop}RKSt9nothrow_t`] = "free";
    table[`${drop}St11align_val_t`] = "freeAligned";
    table[`${drop}St11align_val_tRKSt9nothrow_t`] = "freeAligned";
    for (const size of ["m", "j"]) {
      table[`${make}${size}`] = "new";
      table[`${make}${size}RKSt9nothrow_t`] = "newNothrow";
      table[`${make}${size}St11align_val_t`] = "newAligned";
      table[`${make}${size}St11align_val_tRKSt9nothrow_t`] = "newAlignedNothrow";
      table[`${drop}${size}`] = "freeSize";
      table[`${drop}${size}St11align_val_t`] = "freeSizeAligned";
    }
  }
  return table;
}

/** HeapAbi, and C23's sized frees; sizes and alignments that frees name are compared. */
export type DebugAbi = HeapAbi & {
  free_sized(p: number, size: number): void;
  free_aligned_sized(p: number, alignment: number, size: number): void;
};

type Call = (site: Site, ...args: number[]) => number | boolean | undefined;

/** The verbs with numbers as WebAssembly sends and takes them: signed. */
export function abiOf(verbs: Verbs): DebugAbi {
  const abi: Record<string, AbiFunction> = {};
  for (const [name, verb] of [...Object.entries(named), ...Object.entries(operators())]) {
    abi[name] = functionOf(verbs, name, verb);
  }
  for (const name of ofHeap) {
    abi[`heap_${name}`] = heapFunctionOf(verbs, `heap_${name}`, named[name as keyof typeof named]);
  }
  abi.heap_alloc_new = heapFunctionOf(verbs, "heap_alloc_new", "new");
  abi.heap_alloc_new_n = heapFunctionOf(verbs, "heap_alloc_new_n", "newN");
  Object.assign(abi, heapCalls(verbs));
  const plain = Object.entries(abi).filter(([name]) => !name.startsWith("_Z"));
  const prefixed = plain.map(([name, call]) => [`mi_${name}`, call]);
  const mi_wcsdup = functionOf(verbs, "wcsdup", "wcsdup");
  const whole = { ...abi, ...Object.fromEntries(prefixed), ...processAbi(), mi_wcsdup };
  return whole as unknown as DebugAbi;
}

/** What reports call a function: C++'s operators as their authors write them. */
function callOf(name: string): string {
  const operator = /^_Z(n|d)(w|l|a)/.exec(name);
  if (!operator) return name;
  return `operator ${operator[1] === "n" ? "new" : "delete"}${operator[2] === "a" ? "[]" : ""}`;
}

function functionOf(verbs: Verbs, name: string, verb: VerbName): AbiFunction {
  const target = verbs[verb].bind(verbs) as Call;
  const entry: AbiFunction = (a = 0, b = 0, c = 0, d = 0, e = 0) =>
    answerOf(target(site, a >>> 0, b >>> 0, c >>> 0, d >>> 0, e >>> 0));
  const site: Site = { call: callOf(name), entry };
  return entry;
}

function heapFunctionOf(verbs: Verbs, call: string, verb: VerbName): AbiFunction {
  const target = verbs[verb].bind(verbs) as Call;
  const entry: AbiFunction = (heap = 0, a = 0, b = 0, c = 0, d = 0, e = 0) =>
    answerOf(
      target({ call, entry, heap: heap >>> 0 }, a >>> 0, b >>> 0, c >>> 0, d >>> 0, e >>> 0),
    );
  return entry;
}

function answerOf(answer: number | boolean | undefined): number | undefined {
  return answer === undefined ? undefined : Number(answer);
}

/** mimalloc's first-class heaps; a heap is its id, and ids are what C passes around. */
function heapCalls({ calls }: Verbs): Record<string, AbiFunction> {
  const isOwned = (heap: number, p: number) => p % 8 === 0 && calls.heapOf(p) === heap;
  const collect: AbiFunction = () => calls.collect({ call: "collect", entry: collect });
  const destroy: AbiFunction = (heap = 0) =>
    calls.heapDestroy({ call: "heap_destroy", entry: destroy }, heap >>> 0);
  return {
    collect,
    heap_collect: collect,
    heap_new: () => calls.heaps.draw(),
    heap_delete: (heap = 0) => calls.heapDelete(heap >>> 0),
    heap_destroy: destroy,
    heap_get_default: () => calls.heaps.default,
    heap_set_default: (heap = 0) => calls.heapDefault(heap >>> 0),
    heap_get_backing: () => MAIN_HEAP,
    heap_contains_block: (heap = 0, p = 0) => Number(calls.heapOf(p >>> 0) === heap >>> 0),
    heap_check_owned: (heap = 0, p = 0) => Number(isOwned(heap >>> 0, p >>> 0)),
    check_owned: (p = 0) => Number(isOwned(calls.heaps.default, p >>> 0)),
  };
}
