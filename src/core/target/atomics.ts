/**
 * Atomic intrinsics of the shared builds, JavaScript side; atomics.as.ts is the AssemblyScript
 * side. The single-thread builds use atomics-single.ts instead. All are sequentially consistent, as
 * in both targets. On x86 an atomic load costs as much as a plain one, every other operation about
 * 5 ns: so plain stores are used where possible.
 */
import { words } from "./glue.ts";

/**
 * Whether other threads may use the same memory. A constant, so compilers drop the dead branches.
 */
export const SHARED: bool = true;

export function atomicLoad(p: usize, offset: u32): u32 {
  return Atomics.load(words, (p + offset) >>> 2);
}

export function atomicStore(p: usize, offset: u32, value: u32): void {
  Atomics.store(words, (p + offset) >>> 2, value);
}

/** Stores `value` if the word is `expected`; returns whether it was. */
export function atomicCas(p: usize, offset: u32, expected: u32, value: u32): bool {
  return Atomics.compareExchange(words, (p + offset) >>> 2, expected, value) === expected;
}

/** Like the following functions, returns the word before the change. */
export function atomicSwap(p: usize, offset: u32, value: u32): u32 {
  return Atomics.exchange(words, (p + offset) >>> 2, value);
}

/** Adds modulo 2^32. */
export function atomicAdd(p: usize, offset: u32, value: u32): u32 {
  return Atomics.add(words, (p + offset) >>> 2, value);
}

export function atomicOr(p: usize, offset: u32, bits: u32): u32 {
  return Atomics.or(words, (p + offset) >>> 2, bits);
}

export function atomicAnd(p: usize, offset: u32, bits: u32): u32 {
  return Atomics.and(words, (p + offset) >>> 2, bits);
}
