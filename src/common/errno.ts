/**
 * Numbers of errno as Linux has them. core/layout/layout.ts has its own copy, since the dialect
 * imports nothing from outside.
 */
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EFAULT = 14;
export const EINVAL = 22;
export const EOVERFLOW = 75;

/** WASI's numbers, which programs of wasi-libc and emscripten have. */
export const WASI_EINVAL = 28;
export const WASI_ENOMEM = 48;
