/**
 * What the allocator needs of its host, for JavaScript over one buffer. space.as.ts is the same for
 * AssemblyScript, space-wide.ts for addresses beyond 2^32. Loads and stores are in the core's glue.
 */
import type { CoreHost } from "../../core/target/glue.ts";
import { memoryRefresh } from "../../core/target/glue.ts";

export interface SpaceHost extends CoreHost {
  /** Makes a range usable; it is zero if it was never mapped. Returns a MAP_ of layout.ts. */
  map(address: number, bytes: number): number;
  /** Ends a mapping of a large block. */
  unmap(address: number, bytes: number): void;
  /** Returns the physical memory of whole pages to the system; they read as zero afterwards. */
  release(address: number, bytes: number): void;
  /** Milliseconds since any moment. */
  now(): number;
  /** Pauses a thread that waits for a lock. Returns whether it should try again. */
  pause(rounds: number): boolean;
}

declare const host: SpaceHost;

/** Offset of an element of 2^shift bytes. */
export function scale(index: u32, shift: u32): usize {
  return (index << shift) >>> 0;
}

/** Index of the element of 2^shift bytes at an offset; out of range for negative offsets. */
export function unscale(offset: usize, shift: u32): u32 {
  return offset >>> shift;
}

/** The next multiple of a power of two. */
export function alignUp(p: usize, alignment: u32): usize {
  return ((p + alignment - 1) & -alignment) >>> 0;
}

export function spaceMap(address: usize, bytes: u32): u32 {
  const result: u32 = host.map(address, bytes);
  memoryRefresh();
  return result;
}

export function spaceUnmap(address: usize, bytes: u32): void {
  host.unmap(address, bytes);
}

export function spaceRelease(address: usize, bytes: usize): void {
  host.release(address, bytes);
}

export function timeNow(): u32 {
  return host.now() >>> 0;
}

export function lockPause(rounds: u32): bool {
  return host.pause(rounds);
}
