/** A guarded allocator under C's names, for the import object of a wasm module. */
import { EINVAL, ENOMEM } from "../../common/errno.ts";
import { SIZE_LIMIT } from "../../common/errors.ts";
import { type Gate, openGate } from "./gate.ts";

/** Numbers arrive signed from WebAssembly; a request that cannot be met returns 0. */
export interface GuardedAbi {
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  realloc(p: number, size: number): number;
  reallocarray(p: number, count: number, size: number): number;
  free(p: number): void;
  memalign(alignment: number, size: number): number;
  aligned_alloc(alignment: number, size: number): number;
  posix_memalign(out: number, alignment: number, size: number): number;
  malloc_usable_size(p: number): number;
}

/** What C's names come down to: calls whose arguments are right. */
export interface GuardedCalls {
  readonly u32: Uint32Array;
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  memalign(alignment: number, size: number): number;
  realloc(p: number, size: number): number;
  free(p: number): void;
  usableSize(p: number): number;
}

export function guardedAbi(door: GuardedCalls): GuardedAbi {
  const resize = (p: number, size: number) => (size > SIZE_LIMIT ? 0 : door.realloc(p >>> 0, size));
  const aligned = (alignment: number, size: number) => {
    const good = alignment > 0 && alignment <= 2 ** 30 && (alignment & (alignment - 1)) === 0;
    return good && size >= 0 ? door.memalign(alignment, size) : 0;
  };
  return {
    // A negative size is one beyond the largest.
    malloc: (size) => (size < 0 ? 0 : door.malloc(size)),
    calloc: (count, size) => {
      const bytes = (count >>> 0) * (size >>> 0);
      return bytes > SIZE_LIMIT ? 0 : door.calloc(1, bytes);
    },
    realloc: (p, size) => resize(p, size >>> 0),
    reallocarray: (p, count, size) => resize(p, (count >>> 0) * (size >>> 0)),
    free: (p) => door.free(p >>> 0),
    memalign: aligned,
    aligned_alloc: aligned,
    posix_memalign: (out, alignment, size) => {
      if (alignment < 4 || (alignment & (alignment - 1)) !== 0) return EINVAL;
      const p = aligned(alignment, size);
      if (p !== 0) door.u32[out >>> 2] = p;
      return p === 0 ? ENOMEM : 0;
    },
    malloc_usable_size: (p) => door.usableSize(p >>> 0),
  };
}

/** The functions of a wasm heap behind a gate; undefined where there are none. */
export function gateOf(plain: object | undefined, guarded: GuardedAbi): Gate | undefined {
  const functions = plain as Parameters<typeof openGate>[0] | undefined;
  if (!functions || !Object.keys(guarded).every((name) => isWasm(functions[name])))
    return undefined;
  return openGate(functions, guarded as unknown as Parameters<typeof openGate>[1]);
}

/** Functions of an instance have numbers for names. */
function isWasm(fn: unknown): boolean {
  return typeof fn === "function" && /^\d+$/.test(fn.name);
}
