/**
 * The atomic intrinsics under a scheduler, for tests: each first calls the host, which may let
 * another thread run, or end this thread by throwing.
 */
import { words } from "./glue.ts";

export const SHARED: bool = true;

/** Imports of the stepped build. */
export interface StepHost {
  /** Before an atomic access to a word. `load`: repeated loads need no other order of threads. */
  step(index: number, load: boolean): void;
  /** Before a plain store. */
  stepStore(): void;
  /** Before a plain load. */
  stepLoad(): void;
  /** Whether compare-and-swap is deliberately broken: a load, then a store. */
  readonly torn: boolean;
  /** Slices of the memory at first; it grows by grow(). */
  readonly slices: number;
}

declare const host: StepHost;

function at(p: usize, offset: u32): u32 {
  const index: u32 = (p + offset) >>> 2;
  host.step(index, false);
  return index;
}

export function atomicLoad(p: usize, offset: u32): u32 {
  const index: u32 = (p + offset) >>> 2;
  host.step(index, true);
  return Atomics.load(words, index);
}

export function atomicStore(p: usize, offset: u32, value: u32): void {
  Atomics.store(words, at(p, offset), value);
}

export function atomicCas(p: usize, offset: u32, expected: u32, value: u32): bool {
  if (!host.torn)
    return Atomics.compareExchange(words, at(p, offset), expected, value) === expected;
  if (atomicLoad(p, offset) !== expected) return false;
  atomicStore(p, offset, value);
  return true;
}

export function atomicSwap(p: usize, offset: u32, value: u32): u32 {
  return Atomics.exchange(words, at(p, offset), value);
}

export function atomicAdd(p: usize, offset: u32, value: u32): u32 {
  return Atomics.add(words, at(p, offset), value);
}

export function atomicOr(p: usize, offset: u32, bits: u32): u32 {
  return Atomics.or(words, at(p, offset), bits);
}

export function atomicAnd(p: usize, offset: u32, bits: u32): u32 {
  return Atomics.and(words, at(p, offset), bits);
}
