/** space.ts for AssemblyScript. */

// @ts-expect-error: decorator
@external("env", "map")
declare function hostMap(address: usize, bytes: u32): u32;
// @ts-expect-error: decorator
@external("env", "unmap")
declare function hostUnmap(address: usize, bytes: u32): void;
// @ts-expect-error: decorator
@external("env", "release")
declare function hostRelease(address: usize, bytes: usize): void;
// @ts-expect-error: decorator
@external("env", "now")
declare function hostNow(): u32;
// @ts-expect-error: decorator
@external("env", "pause")
declare function hostPause(rounds: u32): bool;

// @ts-expect-error: decorator
@inline
export function scale(index: u32, shift: u32): usize {
  return index << shift;
}

// @ts-expect-error: decorator
@inline
export function unscale(offset: usize, shift: u32): u32 {
  return offset >>> shift;
}

// @ts-expect-error: decorator
@inline
export function alignUp(p: usize, alignment: u32): usize {
  return (p + alignment - 1) & -alignment;
}

export function spaceMap(address: usize, bytes: u32): u32 {
  return hostMap(address, bytes);
}

export function spaceUnmap(address: usize, bytes: u32): void {
  hostUnmap(address, bytes);
}

export function spaceRelease(address: usize, bytes: usize): void {
  hostRelease(address, bytes);
}

export function timeNow(): u32 {
  return hostNow();
}

export function lockPause(rounds: u32): bool {
  return hostPause(rounds);
}
