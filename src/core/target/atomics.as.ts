/** The atomic intrinsics, AssemblyScript side; atomics.ts has the explanations. */

export const SHARED: bool = true;

// @ts-expect-error: decorator
@inline
export function atomicLoad(p: usize, offset: u32): u32 {
  return atomic.load<u32>(p + offset);
}

// @ts-expect-error: decorator
@inline
export function atomicStore(p: usize, offset: u32, value: u32): void {
  atomic.store<u32>(p + offset, value);
}

// @ts-expect-error: decorator
@inline
export function atomicCas(p: usize, offset: u32, expected: u32, value: u32): bool {
  return atomic.cmpxchg<u32>(p + offset, expected, value) == expected;
}

// @ts-expect-error: decorator
@inline
export function atomicSwap(p: usize, offset: u32, value: u32): u32 {
  return atomic.xchg<u32>(p + offset, value);
}

// @ts-expect-error: decorator
@inline
export function atomicAdd(p: usize, offset: u32, value: u32): u32 {
  return atomic.add<u32>(p + offset, value);
}

// @ts-expect-error: decorator
@inline
export function atomicOr(p: usize, offset: u32, bits: u32): u32 {
  return atomic.or<u32>(p + offset, bits);
}

// @ts-expect-error: decorator
@inline
export function atomicAnd(p: usize, offset: u32, bits: u32): u32 {
  return atomic.and<u32>(p + offset, bits);
}
