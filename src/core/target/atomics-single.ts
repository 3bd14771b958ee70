/** atomics.ts for the single-thread builds: plain loads and stores, in both targets. */
import { load32, store32 } from "./glue.ts";

export const SHARED: bool = false;

export function atomicLoad(p: usize, offset: u32): u32 {
  return load32(p, offset);
}

export function atomicStore(p: usize, offset: u32, value: u32): void {
  store32(p, offset, value);
}

// @cold
export function atomicCas(p: usize, offset: u32, expected: u32, value: u32): bool {
  if (load32(p, offset) !== expected) return false;
  store32(p, offset, value);
  return true;
}

// @cold
export function atomicSwap(p: usize, offset: u32, value: u32): u32 {
  const old: u32 = load32(p, offset);
  store32(p, offset, value);
  return old;
}

// @cold
export function atomicAdd(p: usize, offset: u32, value: u32): u32 {
  return atomicSwap(p, offset, load32(p, offset) + value);
}

// @cold
export function atomicOr(p: usize, offset: u32, bits: u32): u32 {
  return atomicSwap(p, offset, (load32(p, offset) | bits) >>> 0);
}

export function atomicAnd(p: usize, offset: u32, bits: u32): u32 {
  return atomicSwap(p, offset, (load32(p, offset) & bits) >>> 0);
}
