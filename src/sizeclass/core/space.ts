/**
 * What the allocator asks of the place where its addresses lie, JavaScript side over one buffer;
 * space.as.ts is the AssemblyScript side, space-wide.ts the one for addresses beyond 2^32. The
 * words that memory holds come through the core's glue.
 */
import type { CoreHost } from "../../core/target/glue.ts";
import { memoryRefresh } from "../../core/target/glue.ts";

export interface SpaceHost extends CoreHost {
  /** Makes a range usable; all zero if it was never mapped. Answers one of layout.ts's MAP_. */
  map(address: number, bytes: number): number;
  /** Ends a mapping of a large block. */
  unmap(address: number, bytes: number): void;
  /** Gives the physical memory of whole pages back; they read as zero then. */
  release(address: number, bytes: number): void;
  /** Milliseconds since any moment. */
  now(): number;
  /** Called now and then by a thread that finds a lock held; whether to go on trying. */
  pause(rounds: number): boolean;
}

declare const host: SpaceHost;

/** An index as the address of what has 2^shift bytes each. */
export function scale(index: u32, shift: u32): usize {
  return (index << shift) >>> 0;
}

/** Which piece of 2^shift bytes an offset is in; more than there are for a negative one. */
export function unscale(offset: usize, shift: u32): u32 {
  return offset >>> shift;
}

/** The next multiple of a power of two. */
export function alignUp(p: usize, alignment: u32): usize {
  return ((p + alignment - 1) & -alignment) >>> 0;
}

export function spaceMap(address: usize, bytes: u32): u32 {
  const answer: u32 = host.map(address, bytes);
  memoryRefresh();
  return answer;
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
