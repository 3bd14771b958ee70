/**
 * The core's intrinsics over an address space beyond 2^32: replaces `glue.ts` in the wide build.
 */

import type { AddressSpace } from "./contract.ts";
import type { SpaceHost } from "./space.ts";

declare const host: SpaceHost & { readonly space: AddressSpace };

const space: AddressSpace = host.space;

export function load32(p: usize, offset: u32): u32 {
  return space.load32(p + offset);
}

export function store32(p: usize, offset: u32, value: u32): void {
  space.store32(p + offset, value);
}

export function memoryCopy(to: usize, from: usize, size: u32): void {
  space.copy(to, from, size);
}

export function memoryZero(p: usize, size: u32): void {
  space.fill(p, size, 0);
}

/** Nothing is cached here. */
export function memoryRefresh(): void {}

export function errorRaise(code: u32, size: u32): void {
  host.error(code, size);
}

export function mul32(a: u32, b: u32): u32 {
  return Math.imul(a, b) >>> 0;
}

/** Exact, since doubles round monotonically. */
export function mulOverflows(a: u32, b: u32): bool {
  return a * b > 0xffffffff;
}

export function leadingZeros(x: u32): u32 {
  return Math.clz32(x);
}
