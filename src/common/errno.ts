/**
 * Numbers of errno. The heap itself counts as Linux does; core/layout/layout.ts has its own copy,
 * since the dialect imports nothing from outside. Functions for wasm modules give the numbers of
 * the ABI that these are compiled for.
 */
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EFAULT = 14;
export const EINVAL = 22;
export const EOVERFLOW = 75;

/** WASI's numbers, which programs of wasi-libc and emscripten have. */
export const WASI_EINVAL = 28;
export const WASI_ENOMEM = 48;

/** Whose numbers a program's <errno.h> has. */
export type ErrnoAbi = "wasi" | "linux";

/** For each ABI, what differs from Linux. */
const numbers: Readonly<Record<ErrnoAbi, ReadonlyMap<number, number>>> = {
  linux: new Map(),
  wasi: new Map([
    [EAGAIN, 6],
    [ENOMEM, WASI_ENOMEM],
    [EFAULT, 21],
    [EINVAL, WASI_EINVAL],
    [EOVERFLOW, 61],
  ]),
};

/** A number of Linux as another ABI has it; 0 stays 0. */
export function errnoOf(abi: ErrnoAbi, errno: number): number {
  return numbers[abi].get(errno) ?? errno;
}

/** A function that returns Linux's numbers, as one that returns another ABI's. */
export function errnoReturning(
  abi: ErrnoAbi,
  call: (...args: number[]) => number | undefined | void,
): (...args: number[]) => number {
  return (a = 0, b = 0, c = 0, d = 0, e = 0) => errnoOf(abi, Number(call(a, b, c, d, e)));
}
