/** space.ts for addresses up to 2^53: they never go through a bit operation. */
import type { SpaceHost } from "./space.ts";

declare const host: SpaceHost;

export function scale(index: u32, shift: u32): usize {
  return index * 2 ** shift;
}

export function unscale(offset: usize, shift: u32): u32 {
  return Math.floor(offset / 2 ** shift) >>> 0;
}

export function alignUp(p: usize, alignment: u32): usize {
  return Math.ceil(p / alignment) * alignment;
}

export function spaceMap(address: usize, bytes: u32): u32 {
  return host.map(address, bytes);
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
