/** Which features of a hardened heap are on: bits in the state, the same for all its threads. */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32, store32 } from "../target/glue.ts";
import { randomNext } from "./random.ts";

/** Whether any of these features is on. */
export function featureOn(bits: u32): bool {
  return (load32(stateBase, L.S_HARDENING) & bits) !== 0;
}

/**
 * Turns features on, once, in a state without blocks. `guard`: bytes of a page that the source can
 * protect, or 0.
 */
export function hardeningBegin(bits: u32, guard: u32): void {
  store32(stateBase, L.S_SECRET, randomNext());
  store32(stateBase, L.S_SECRET_2, randomNext());
  store32(stateBase, L.S_GUARD, guard);
  store32(stateBase, L.S_HARDENING, bits);
}

/** Bytes of a block for a request, with its record. The sum may be larger than any block. */
export function sizeFull(size: u32): u32 {
  if (!featureOn(L.HARD_RECORD) || size > 0xffffffff - L.RECORD_SIZE) return size;
  return sizeKept(size) + L.RECORD_SIZE;
}

/** The requested bytes of a full size, for errors. */
export function sizeAsked(full: u32): u32 {
  return featureOn(L.HARD_RECORD) ? full - L.RECORD_SIZE : full;
}

/** With a record, a block of 0 bytes gets one word. */
export function sizeKept(size: u32): u32 {
  return size === 0 && featureOn(L.HARD_RECORD) ? L.WORD : size;
}
