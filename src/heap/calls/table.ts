/**
 * Every call that allocates, resizes, frees or asks about blocks, described once: its arguments,
 * what it does, and its names in C. The methods of heaps and of the debug allocator and the
 * functions for wasm modules are made from this table. AllocatorCalls has the documentation.
 *
 * To add a call: a member of AllocatorCalls, a row here, and a line in heap-calls.ts. The debug
 * allocator has it then too, unless it is `other`: then a line in its other-calls.ts.
 */
import type { AllocatorCalls } from "./allocator-calls.ts";

/** What an argument is, and so how it is checked. */
export type ArgumentKind =
  /** Numbers of bytes or elements: whole, from 0 to 2^31 - 1. The kind is their name in errors. */
  | "size"
  | "count"
  | "offset"
  | "max"
  /** A size of C++'s new, where one that is too large is out of memory: from 0 to 2^32 - 1. */
  | "word"
  /** A power of two from 1 to 2^30. */
  | "alignment"
  /** An alignment of posix_memalign, which returns an errno for a wrong one. */
  | "boundary"
  /** A block or null. A heap proves it; the debug allocator reports what is wrong with it. */
  | "block"
  /** Any address: of a text, or one that the call itself looks up. */
  | "address"
  /** The address of a word that the call writes, or null. */
  | "cell"
  /** The address of bytes that the call writes, which may be left out. */
  | "optional"
  /** A function or undefined. */
  | "handler";

/** What calls with `page` align to: 4 KiB. */
export const OS_PAGE = 4096;

/** One call. */
export interface CallRow {
  /** Its arguments, in order. */
  readonly args: readonly ArgumentKind[];
  /** Arguments and traits say what the first three do; each allocator has code for the others. */
  readonly does: "allocate" | "resize" | "free" | "other";
  /** All of a new block is zero; of a block that is resized, what it grows by. */
  readonly zero?: true;
  /** The block is aligned to OS_PAGE; its size is rounded up to that or not. */
  readonly page?: "rounded" | "aligned";
  /** The new-handler is called while memory is out, before the call throws or returns 0. */
  readonly fails?: "throws" | "null";
  /** It returns an errno, or 0. */
  readonly returns?: "errno";
  /** Names in C, POSIX, BSD and macOS; each exists with `mi_` in front too. */
  readonly c?: readonly string[];
  /** mimalloc's names, without their `mi_`; each exists without it too. */
  readonly mi?: readonly string[];
  /** Microsoft's names, also with `mi_`. */
  readonly ms?: readonly string[];
  /** Those of `c` and `mi`, or these, exist as `heap_NAME` for a heap that is named first. */
  readonly ofHeap?: true | readonly string[];
}

/** Calls that only C programs have: another order of arguments, or another wide character. */
type CName = "freeAlignedSized" | "wideDup";

export const calls = {
  malloc: {
    args: ["size"],
    does: "allocate",
    c: ["malloc"],
    mi: ["malloc_small"],
    ofHeap: true,
  },
  calloc: { args: ["count", "size"], does: "allocate", zero: true, c: ["calloc"], ofHeap: true },
  zalloc: {
    args: ["size"],
    does: "allocate",
    zero: true,
    mi: ["zalloc", "zalloc_small"],
    ofHeap: true,
  },
  mallocn: { args: ["count", "size"], does: "allocate", mi: ["mallocn"], ofHeap: true },
  realloc: { args: ["block", "size"], does: "resize", c: ["realloc"], ofHeap: true },
  reallocn: { args: ["block", "count", "size"], does: "resize", mi: ["reallocn"], ofHeap: true },
  reallocarray: { args: ["block", "count", "size"], does: "resize", c: ["reallocarray"] },
  reallocarr: {
    args: ["cell", "count", "size"],
    does: "other",
    returns: "errno",
    c: ["reallocarr"],
  },
  reallocf: { args: ["block", "size"], does: "other", c: ["reallocf"], ofHeap: true },
  rezalloc: { args: ["block", "size"], does: "resize", zero: true, mi: ["rezalloc"], ofHeap: true },
  recalloc: {
    args: ["block", "count", "size"],
    does: "resize",
    zero: true,
    mi: ["recalloc"],
    ofHeap: true,
  },
  expand: { args: ["block", "size"], does: "other", mi: ["expand"], ms: ["_expand"] },

  memalign: { args: ["alignment", "size"], does: "allocate", c: ["memalign"] },
  alignedAlloc: { args: ["alignment", "size"], does: "allocate", c: ["aligned_alloc"] },
  memalignAt: { args: ["alignment", "size", "offset"], does: "allocate" },
  posixMemalign: {
    args: ["cell", "boundary", "size"],
    does: "other",
    returns: "errno",
    c: ["posix_memalign"],
  },
  valloc: { args: ["size"], does: "allocate", page: "aligned", c: ["valloc"] },
  pvalloc: { args: ["size"], does: "allocate", page: "rounded", c: ["pvalloc"] },
  mallocAligned: {
    args: ["size", "alignment"],
    does: "allocate",
    mi: ["malloc_aligned"],
    ofHeap: true,
  },
  mallocAlignedAt: {
    args: ["size", "alignment", "offset"],
    does: "allocate",
    mi: ["malloc_aligned_at"],
    ofHeap: true,
  },
  zallocAligned: {
    args: ["size", "alignment"],
    does: "allocate",
    zero: true,
    mi: ["zalloc_aligned"],
    ofHeap: true,
  },
  zallocAlignedAt: {
    args: ["size", "alignment", "offset"],
    does: "allocate",
    zero: true,
    mi: ["zalloc_aligned_at"],
    ofHeap: true,
  },
  callocAligned: {
    args: ["count", "size", "alignment"],
    does: "allocate",
    zero: true,
    mi: ["calloc_aligned"],
    ofHeap: true,
  },
  callocAlignedAt: {
    args: ["count", "size", "alignment", "offset"],
    does: "allocate",
    zero: true,
    mi: ["calloc_aligned_at"],
    ofHeap: true,
  },
  reallocAligned: {
    args: ["block", "size", "alignment"],
    does: "resize",
    mi: ["realloc_aligned"],
    ofHeap: true,
  },
  reallocAlignedAt: {
    args: ["block", "size", "alignment", "offset"],
    does: "resize",
    mi: ["realloc_aligned_at"],
    ofHeap: true,
  },
  rezallocAligned: {
    args: ["block", "size", "alignment"],
    does: "resize",
    zero: true,
    mi: ["rezalloc_aligned"],
    ofHeap: true,
  },
  rezallocAlignedAt: {
    args: ["block", "size", "alignment", "offset"],
    does: "resize",
    zero: true,
    mi: ["rezalloc_aligned_at"],
    ofHeap: true,
  },
  recallocAligned: {
    args: ["block", "count", "size", "alignment"],
    does: "resize",
    zero: true,
    mi: ["recalloc_aligned"],
    ms: ["aligned_recalloc"],
    ofHeap: true,
  },
  recallocAlignedAt: {
    args: ["block", "count", "size", "alignment", "offset"],
    does: "resize",
    zero: true,
    mi: ["recalloc_aligned_at"],
    ms: ["aligned_offset_recalloc"],
    ofHeap: true,
  },

  free: { args: ["address"], does: "free", c: ["free"] },
  freeSize: { args: ["block", "size"], does: "free", c: ["free_sized"], mi: ["free_size"] },
  freeSizeAligned: {
    args: ["block", "size", "alignment"],
    does: "free",
    mi: ["free_size_aligned"],
  },
  freeAlignedSized: {
    args: ["block", "alignment", "size"],
    does: "free",
    c: ["free_aligned_sized"],
  },
  freeAligned: { args: ["block", "alignment"], does: "free", mi: ["free_aligned"] },
  cfree: { args: ["address"], does: "other", c: ["cfree"] },

  usableSize: {
    args: ["block"],
    does: "other",
    c: ["malloc_usable_size"],
    mi: ["usable_size"],
  },
  mallocSize: { args: ["block"], does: "other", c: ["malloc_size"] },
  goodSize: { args: ["size"], does: "other", mi: ["good_size"] },
  mallocGoodSize: { args: ["size"], does: "other", c: ["malloc_good_size"] },
  contains: { args: ["address"], does: "other", mi: ["is_in_heap_region"] },

  strdup: { args: ["address"], does: "other", c: ["strdup"], ofHeap: true },
  strndup: { args: ["address", "max"], does: "other", c: ["strndup"], ofHeap: true },
  mbsdup: { args: ["address"], does: "other", ms: ["mbsdup"] },
  wideDup: { args: ["address"], does: "other", ms: ["wcsdup"] },
  // mimalloc's wide characters have 2 bytes, those of C in wasm32 have 4.
  wcsdup: { args: ["address"], does: "other", ms: ["mi_wcsdup"] },
  dupenvS: {
    args: ["cell", "cell", "address"],
    does: "other",
    returns: "errno",
    ms: ["dupenv_s"],
  },
  wdupenvS: {
    args: ["cell", "cell", "address"],
    does: "other",
    returns: "errno",
    ms: ["wdupenv_s"],
  },
  realpath: { args: ["address", "optional"], does: "other", c: ["realpath"], ofHeap: true },

  new: { args: ["word"], does: "allocate", fails: "throws", mi: ["new"], ofHeap: ["alloc_new"] },
  newNothrow: { args: ["word"], does: "allocate", fails: "null", mi: ["new_nothrow"] },
  newN: {
    args: ["count", "size"],
    does: "allocate",
    fails: "throws",
    mi: ["new_n"],
    ofHeap: ["alloc_new_n"],
  },
  newAligned: {
    args: ["word", "alignment"],
    does: "allocate",
    fails: "throws",
    mi: ["new_aligned"],
  },
  newAlignedNothrow: {
    args: ["word", "alignment"],
    does: "allocate",
    fails: "null",
    mi: ["new_aligned_nothrow"],
  },
  newRealloc: { args: ["block", "word"], does: "resize", fails: "throws", mi: ["new_realloc"] },
  newReallocn: {
    args: ["block", "count", "size"],
    does: "resize",
    fails: "throws",
    mi: ["new_reallocn"],
  },
  setNewHandler: { args: ["handler"], does: "other" },
} as const satisfies Record<keyof AllocatorCalls | CName, CallRow>;

export type CallName = keyof typeof calls;

/** Calls that are methods. */
export type MethodName = Exclude<CallName, CName>;

const onlyC: readonly CallName[] = ["freeAlignedSized", "wideDup"] satisfies CName[];

/** Each call with its row. */
export const callRows = Object.entries(calls) as [CallName, CallRow][];

/** Each call that is a method, with its row. */
export const methodRows = callRows.filter(([name]) => !onlyC.includes(name)) as [
  MethodName,
  CallRow,
][];

/** Names of a call in C, without the prefix that each has too. */
export function names({ c = [], mi = [], ms = [] }: CallRow): readonly string[] {
  return [...c, ...mi, ...ms];
}

/** Functions of some calls under their names in C, POSIX and BSD. */
export function standardFunctions<F>(of: Partial<Record<CallName, F>>): Record<string, F> {
  const functions: Record<string, F> = {};
  for (const [call, { c = [] }] of callRows) {
    const target = of[call];
    if (target) for (const name of c) functions[name] = target;
  }
  return functions;
}

/** Names in C of a call on a heap that is named first. */
export function heapNames({ c = [], mi = [], ofHeap }: CallRow): readonly string[] {
  if (!ofHeap) return [];
  return (ofHeap === true ? [...c, ...mi] : ofHeap).map((name) => `heap_${name}`);
}

/** A name and its name in mimalloc, unless it is that already. */
export function prefixed(name: string): readonly string[] {
  return name.startsWith("mi_") ? [name] : [name, `mi_${name}`];
}

/** An operator of C++. */
export interface Operator {
  /** As wasm32 mangles it. */
  readonly name: string;
  readonly call: CallName;
  /** It is new[] or delete[]. */
  readonly array: boolean;
  /** How many arguments it has; the last can be a std::nothrow_t, which means nothing. */
  readonly arity: number;
}

const ALIGNED = "St11align_val_t";
const NOTHROW = "RKSt9nothrow_t";

/** C++'s operators; size_t is `m` where it is unsigned long, `j` in old toolchains. */
export function operators(): Operator[] {
  return [false, true].flatMap((array) => {
    const [make, drop] = array ? ["_Zna", "_ZdaPv"] : ["_Znw", "_ZdlPv"];
    const one = (name: string, call: CallName, arity: number) => ({ name, call, array, arity });
    return [
      one(drop, "free", 1),
      one(drop + NOTHROW, "free", 2),
      one(drop + ALIGNED, "freeAligned", 2),
      one(drop + ALIGNED + NOTHROW, "freeAligned", 3),
      ...["m", "j"].flatMap((size) => [
        one(make + size, "new", 1),
        one(make + size + NOTHROW, "newNothrow", 2),
        one(make + size + ALIGNED, "newAligned", 2),
        one(make + size + ALIGNED + NOTHROW, "newAlignedNothrow", 3),
        one(drop + size, "freeSize", 2),
        one(drop + size + ALIGNED, "freeSizeAligned", 3),
      ]),
    ];
  });
}
