/**
 * The intrinsics of the core, AssemblyScript side; glue.ts has the explanations. `load<u32>(p +
 * offset)` is used since `load<u32>(p, offset)` needs a literal; binaryen folds the sum into the
 * instruction while the offset is below 1 024.
 */

// @ts-expect-error: decorator
@external("env", "grow")
declare function hostGrow(slices: u32): u32;
// @ts-expect-error: decorator
@external("env", "error")
declare function hostError(code: u32, size: u32): void;

// @ts-expect-error: decorator
@external("env", "pages")
declare function hostPages(operation: u32, address: usize, size: u32): u32;

// @ts-expect-error: decorator
@inline
export function load32(p: usize, offset: u32): u32 {
  return load<u32>(p + offset);
}

// @ts-expect-error: decorator
@inline
export function store32(p: usize, offset: u32, value: u32): void {
  store<u32>(p + offset, value);
}

// @ts-expect-error: decorator
@inline
export function load8(p: usize, offset: u32): u32 {
  return load<u8>(p + offset);
}

// @ts-expect-error: decorator
@inline
export function store8(p: usize, offset: u32, value: u32): void {
  store<u8>(p + offset, value as u8);
}

// @ts-expect-error: decorator
@inline
export function memoryCopy(to: usize, from: usize, size: u32): void {
  memory.copy(to, from, size);
}

// @ts-expect-error: decorator
@inline
export function memoryZero(p: usize, size: u32): void {
  memory.fill(p, 0, size);
}

// @ts-expect-error: decorator
@inline
export function memorySlices(): u32 {
  return memory.size() as u32;
}

// @ts-expect-error: decorator
@inline
export function memoryGrow(slices: u32): u32 {
  return hostGrow(slices);
}

// @ts-expect-error: decorator
@inline
export function memoryPages(operation: u32, address: usize, size: u32): bool {
  return hostPages(operation, address, size) != 0;
}

/** Nothing to do: WebAssembly always sees the memory as it is. */
export function memoryRefresh(): void {}

// @ts-expect-error: decorator
@inline
export function memoryReach(top: u32): void {}

// @ts-expect-error: decorator
@inline
export function errorRaise(code: u32, size: u32): void {
  hostError(code, size);
}

// @ts-expect-error: decorator
@inline
export function mul32(a: u32, b: u32): u32 {
  return a * b;
}

// @ts-expect-error: decorator
@inline
export function mulOverflows(a: u32, b: u32): bool {
  return ((a as u64) * (b as u64)) >>> 32 != 0;
}

// @ts-expect-error: decorator
@inline
export function bitsCount(x: u32): u32 {
  return popcnt<u32>(x);
}

// @ts-expect-error: decorator
@inline
export function leadingZeros(x: u32): u32 {
  return clz<u32>(x);
}

// @ts-expect-error: decorator
@inline
export function trailingZeros(x: u32): u32 {
  return ctz<u32>(x);
}
