/**
 * The hardened malloc under C's and C++'s names, for modules that import their malloc. Mistakes
 * throw through the module, as a trap does. WebAssembly passes signed numbers: `>>> 0` makes them
 * unsigned.
 */
import { WASI_EINVAL, WASI_ENOMEM } from "../../common/errno.ts";
import type { AbiFunction, CFunctions } from "../../heap/calls/contract.ts";
import { type CallName, operators, standardFunctions } from "../../heap/calls/table.ts";
import { type FreeClaims, MALLOC, NEW, NEW_ARRAY } from "./blocks.ts";
import { type HardenedCApi, isPosixAlignment } from "./calls.ts";
import { type Origin, PAGE } from "./reports.ts";

/** C's allocation functions; C++'s operators are there as wasm32 mangles them. */
export type HardenedAbi = Omit<CFunctions, "strdup" | "strndup"> &
  Readonly<Record<string, AbiFunction>> & {
    /** A block at a multiple of 4 KiB. */
    readonly valloc: (size: number) => number;
    /** `valloc` of `size` rounded up to 4 KiB, and of 4 KiB for 0. */
    readonly pvalloc: (size: number) => number;
  };

export function hardenedAbi(api: HardenedCApi): HardenedAbi {
  const named = { ...standardFunctions(functionsOf(api)), ...operatorsOf(api) };
  const unsigned = Object.entries(named).map(([name, call]) => [
    name,
    (...args: number[]) => call(...args.map((value) => value >>> 0)),
  ]);
  return Object.fromEntries(unsigned);
}

function functionsOf(api: HardenedCApi): Partial<Record<CallName, AbiFunction>> {
  return {
    malloc: (size = 0) => api.malloc(size),
    calloc: (count = 0, size = 0) => api.calloc(count, size),
    realloc: (ptr = 0, size = 0) => api.realloc(ptr, size),
    reallocarray: (ptr = 0, count = 0, size = 0) => api.reallocarray(ptr, count, size),
    memalign: (alignment = 0, size = 0) => api.memalign(alignment, size),
    alignedAlloc: (alignment = 0, size = 0) => api.alignedAlloc(alignment, size),
    posixMemalign: (...args) => posixMemalign(api, ...args),
    valloc: (size = 0) => api.memalign(PAGE, size),
    pvalloc: (size = 0) => api.pvalloc(size),
    usableSize: (ptr = 0) => api.usableSize(ptr),
    free: freeOf(api, "free", MALLOC),
    freeSize: freeOf(api, "freeSize", MALLOC),
    freeAlignedSized: freeOf(api, "freeAlignedSized", MALLOC),
  };
}

/** What the arguments behind the pointer say of a block that is freed. */
const claims: Partial<Record<CallName, (a: number, b: number) => FreeClaims>> = {
  free: () => ({}),
  freeSize: (size) => ({ size }),
  freeAligned: (alignment) => ({ alignment }),
  freeSizeAligned: (size, alignment) => ({ size, alignment }),
  freeAlignedSized: (alignment, size) => ({ size, alignment }),
};

function freeOf(api: HardenedCApi, call: CallName, origin: Origin): AbiFunction {
  const claimed = claims[call]!;
  return (ptr = 0, a = 0, b = 0) => api.deallocate(ptr, origin, claimed(a, b));
}

function posixMemalign(api: HardenedCApi, out = 0, alignment = 0, size = 0): number {
  if (out === 0) return WASI_EINVAL;
  const ptr = api.posixMemalign(alignment, size);
  if (ptr === 0) return isPosixAlignment(alignment) ? WASI_ENOMEM : WASI_EINVAL;
  new DataView(api.blocks.heap.buffer).setUint32(out, ptr, true);
  return 0;
}

function operatorsOf(api: HardenedCApi): Record<string, AbiFunction> {
  const functions = operators().map(({ name, call, array }): [string, AbiFunction] => {
    if (call in claims) return [name, freeOf(api, call, array ? NEW_ARRAY : NEW)];
    if (call === "newAligned" || call === "newAlignedNothrow") {
      return [name, (size = 0, alignment = 0) => api.operatorNew(size, array, alignment)];
    }
    return [name, (size = 0) => api.operatorNew(size, array, 16)];
  });
  return Object.fromEntries(functions);
}
