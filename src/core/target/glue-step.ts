/**
 * The glue under a scheduler, for tests. Plain stores call the host, which may end the thread;
 * plain loads are counted, so that endless loops end; the memory has as many slices as the host
 * says.
 */
import type { StepHost } from "./atomics-step.ts";
import { load32 as loadPlain, store32 as storePlain } from "./glue.ts";

export * from "./glue.ts";

declare const host: StepHost;

export function store32(p: usize, offset: u32, value: u32): void {
  host.stepStore();
  storePlain(p, offset, value);
}

export function load32(p: usize, offset: u32): u32 {
  host.stepLoad();
  return loadPlain(p, offset);
}

export function memorySlices(): u32 {
  return host.slices;
}
