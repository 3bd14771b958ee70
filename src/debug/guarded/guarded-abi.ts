/** A guarded allocator under C's names, for the import object of a wasm module. */
import { WASI_EINVAL, WASI_ENOMEM } from "../../common/errno.ts";
import { SIZE_LIMIT } from "../../common/errors.ts";
import type { AllocatorCalls } from "../../heap/calls/allocator-calls.ts";
import type { AbiFunction, CFunctions } from "../../heap/calls/contract.ts";
import { standardFunctions } from "../../heap/calls/table.ts";
import { type Gate, openGate } from "./gate.ts";

/** C's functions that a guarded allocator has. */
export type GuardedAbi = Pick<
  CFunctions,
  | "malloc"
  | "calloc"
  | "realloc"
  | "reallocarray"
  | "free"
  | "memalign"
  | "aligned_alloc"
  | "posix_memalign"
  | "malloc_usable_size"
>;

/** The calls that C's functions stand on; they are given arguments that are right. */
export interface GuardedCalls
  extends Pick<
    AllocatorCalls,
    "malloc" | "calloc" | "memalign" | "realloc" | "free" | "usableSize"
  > {
  readonly u32: Uint32Array;
}

/** Numbers come signed from WebAssembly: a negative size is one beyond the largest. */
export function guardedAbi(calls: GuardedCalls): GuardedAbi {
  const resize = (p: number, size: number) =>
    size > SIZE_LIMIT ? 0 : calls.realloc(p >>> 0, size);
  const aligned = (alignment = 0, size = 0) =>
    isAlignment(alignment) && size >= 0 ? calls.memalign(alignment, size) : 0;
  const functions = standardFunctions<AbiFunction>({
    malloc: (size = 0) => (size < 0 ? 0 : calls.malloc(size)),
    calloc: (count = 0, size = 0) => {
      const bytes = (count >>> 0) * (size >>> 0);
      return bytes > SIZE_LIMIT ? 0 : calls.calloc(1, bytes);
    },
    realloc: (p = 0, size = 0) => resize(p, size >>> 0),
    reallocarray: (p = 0, count = 0, size = 0) => resize(p, (count >>> 0) * (size >>> 0)),
    free: (p = 0) => calls.free(p >>> 0),
    memalign: aligned,
    alignedAlloc: aligned,
    posixMemalign: (out = 0, alignment = 0, size = 0) => {
      if (alignment < 4 || !isAlignment(alignment)) return WASI_EINVAL;
      const p = aligned(alignment, size);
      if (p !== 0) calls.u32[out >>> 2] = p;
      return p === 0 ? WASI_ENOMEM : 0;
    },
    usableSize: (p = 0) => calls.usableSize(p >>> 0),
  });
  return functions as unknown as GuardedAbi;
}

function isAlignment(number: number): boolean {
  return number > 0 && number <= 2 ** 30 && (number & (number - 1)) === 0;
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
