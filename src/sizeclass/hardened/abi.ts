/**
 * The hardened malloc under C's and C++'s names, for modules that import their malloc. Mistakes
 * throw through the module, as a trap would. WebAssembly sends signed numbers: `>>> 0` mends them.
 */
import { EINVAL, ENOMEM } from "../../common/errno.ts";
import { type FreeClaims, MALLOC, NEW, NEW_ARRAY } from "./blocks.ts";
import { type HardenedCApi, isPosixAlignment } from "./calls.ts";
import { type Origin, PAGE } from "./reports.ts";

type AbiFunction = (...args: number[]) => number | undefined;

/** C's allocation functions; C++'s operators are there as wasm32 mangles them. */
export type HardenedAbi = Readonly<Record<string, AbiFunction>> & {
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  realloc(ptr: number, size: number): number;
  reallocarray(ptr: number, count: number, size: number): number;
  free(ptr: number): undefined;
  free_sized(ptr: number, size: number): undefined;
  free_aligned_sized(ptr: number, alignment: number, size: number): undefined;
  memalign(alignment: number, size: number): number;
  aligned_alloc(alignment: number, size: number): number;
  /** Returns 0, or an errno that leaves `out` as it was: 22 or 12. */
  posix_memalign(out: number, alignment: number, size: number): number;
  valloc(size: number): number;
  pvalloc(size: number): number;
  malloc_usable_size(ptr: number): number;
};

export function hardenedAbi(verbs: HardenedCApi): HardenedAbi {
  const unsigned = Object.entries({ ...functionsOf(verbs), ...operatorsOf(verbs) }).map(
    ([name, call]) => [name, (...args: number[]) => call(...args.map((value) => value >>> 0))],
  );
  return Object.fromEntries(unsigned);
}

function functionsOf(verbs: HardenedCApi): Record<string, AbiFunction> {
  const drop = (ptr: number, claims: FreeClaims) => dropped(verbs, ptr, MALLOC, claims);
  return {
    malloc: (size = 0) => verbs.malloc(size),
    calloc: (count = 0, size = 0) => verbs.calloc(count, size),
    realloc: (ptr = 0, size = 0) => verbs.realloc(ptr, size),
    reallocarray: (ptr = 0, count = 0, size = 0) => verbs.reallocarray(ptr, count, size),
    free: (ptr = 0) => drop(ptr, {}),
    free_sized: (ptr = 0, size = 0) => drop(ptr, { size }),
    free_aligned_sized: (ptr = 0, alignment = 0, size = 0) => drop(ptr, { size, alignment }),
    memalign: (alignment = 0, size = 0) => verbs.memalign(alignment, size),
    aligned_alloc: (alignment = 0, size = 0) => verbs.alignedAlloc(alignment, size),
    posix_memalign: (...args) => posixMemalign(verbs, ...args),
    valloc: (size = 0) => verbs.memalign(PAGE, size),
    pvalloc: (size = 0) => verbs.pvalloc(size),
    malloc_usable_size: (ptr = 0) => verbs.usableSize(ptr),
  };
}

function dropped(verbs: HardenedCApi, ptr: number, origin: Origin, claims: FreeClaims): undefined {
  verbs.deallocate(ptr, origin, claims);
}

function posixMemalign(verbs: HardenedCApi, out = 0, alignment = 0, size = 0): number {
  if (out === 0) return EINVAL;
  const ptr = verbs.posixMemalign(alignment, size);
  if (ptr === 0) return isPosixAlignment(alignment) ? ENOMEM : EINVAL;
  new DataView(verbs.blocks.heap.buffer).setUint32(out, ptr, true);
  return 0;
}

/** size_t is `m` where it is unsigned long, `j` in old toolchains. */
function operatorsOf(verbs: HardenedCApi): Record<string, AbiFunction> {
  const table: Record<string, AbiFunction> = {};
  for (const [make, drop, origin] of [
    ["_Znw", "_ZdlPv", NEW],
    ["_Zna", "_ZdaPv", NEW_ARRAY],
  ] as const) {
    const array = origin === NEW_ARRAY;
    const freed = (ptr: number, claims: FreeClaims) => dropped(verbs, ptr, origin, claims);
    const nothrow = "RKSt9nothrow_t";
    const aligned = "St11align_val_t";
    for (const tail of ["", nothrow]) {
      for (const size of ["m", "j"]) {
        table[make + size + tail] = (bytes = 0) => verbs.operatorNew(bytes, array, 16);
        table[make + size + aligned + tail] = (bytes = 0, alignment = 0) =>
          verbs.operatorNew(bytes, array, alignment);
      }
      table[drop + tail] = (ptr = 0) => freed(ptr, {});
      table[drop + aligned + tail] = (ptr = 0, alignment = 0) => freed(ptr, { alignment });
    }
    for (const letter of ["m", "j"]) {
      table[drop + letter] = (ptr = 0, size = 0) => freed(ptr, { size });
      table[drop + letter + aligned] = (ptr = 0, size = 0, alignment = 0) =>
        freed(ptr, { size, alignment });
    }
  }
  return table;
}
