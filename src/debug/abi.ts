/** The debug allocator under C's names, for the import object of a wasm module. */
import type { HeapAbi } from "../abi.ts";
import { SIZE_LIMIT } from "../errors.ts";
import type { Calls } from "./calls.ts";

const EINVAL = 22;
const ENOMEM = 12;

/** HeapAbi, and C23's sized frees, which are checked against what the block was asked for with. */
export interface DebugAbi extends HeapAbi {
  free_sized(p: number, size: number): void;
  free_aligned_sized(p: number, alignment: number, size: number): void;
}

/**
 * Numbers arrive signed from WebAssembly. What C leaves undefined is reported; a request that
 * cannot be met answers 0.
 */
export function abiOf(calls: Calls): DebugAbi {
  const abi: DebugAbi = {
    malloc: (size) => sized(size >>> 0, (n) => calls.malloc("malloc", abi.malloc, n)),
    calloc: (count, size) =>
      sized((count >>> 0) * (size >>> 0), (n) => calls.malloc("calloc", abi.calloc, n, true)),
    realloc: (p, size) =>
      sized(size >>> 0, (n) => calls.resize("realloc", abi.realloc, p >>> 0, n)),
    reallocarray: (p, count, size) =>
      sized((count >>> 0) * (size >>> 0), (n) =>
        calls.resize("reallocarray", abi.reallocarray, p >>> 0, n),
      ),
    free: (p) => calls.free("free", abi.free, p >>> 0),
    free_sized: (p, size) =>
      calls.free("free_sized", abi.free_sized, p >>> 0, { size: size >>> 0 }),
    free_aligned_sized: (p, alignment, size) =>
      calls.free("free_aligned_sized", abi.free_aligned_sized, p >>> 0, {
        size: size >>> 0,
        alignment: alignment >>> 0,
      }),
    memalign: (alignment, size) =>
      aligned(alignment >>> 0, size >>> 0, (a, n) =>
        calls.memalign("memalign", abi.memalign, a, n),
      ),
    aligned_alloc: (alignment, size) =>
      aligned(alignment >>> 0, size >>> 0, (a, n) =>
        calls.memalign("aligned_alloc", abi.aligned_alloc, a, n),
      ),
    posix_memalign: (out, alignment, size) => {
      const a = alignment >>> 0;
      if (a < 4 || !isPowerOfTwo(a)) return EINVAL;
      const p = aligned(a, size >>> 0, (b, n) =>
        calls.memalign("posix_memalign", abi.posix_memalign, b, n),
      );
      if (p !== 0) calls.backing.u32[out >>> 2] = p;
      return p === 0 ? ENOMEM : 0;
    },
    malloc_usable_size: (p) => calls.usable("malloc_usable_size", abi.malloc_usable_size, p >>> 0),
    strdup: (p) =>
      copyText(calls, p >>> 0, SIZE_LIMIT, (n) => calls.malloc("strdup", abi.strdup, n)),
    strndup: (p, max) =>
      copyText(calls, p >>> 0, max >>> 0, (n) => calls.malloc("strndup", abi.strndup, n)),
  };
  return abi;
}

function sized(size: number, get: (size: number) => number): number {
  return size > SIZE_LIMIT ? 0 : get(size);
}

function aligned(
  alignment: number,
  size: number,
  get: (alignment: number, size: number) => number,
): number {
  if (!isPowerOfTwo(alignment) || alignment > 2 ** 30 || size > SIZE_LIMIT) return 0;
  return get(alignment, size);
}

function isPowerOfTwo(number: number): boolean {
  return number !== 0 && (number & (number - 1)) === 0;
}

/** The text at p up to its NUL, `max` bytes at most, in a new block with a NUL. */
function copyText(calls: Calls, p: number, max: number, get: (size: number) => number): number {
  if (p === 0) return 0;
  const nul = calls.backing.u8.indexOf(0, p);
  const length = Math.min(nul < 0 ? calls.backing.u8.length - p : nul - p, max);
  const to = get(length + 1);
  if (to === 0) return 0;
  const { u8 } = calls.backing;
  u8.copyWithin(to, p, p + length);
  u8[to + length] = 0;
  return to;
}
