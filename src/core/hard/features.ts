/** Which features of a hardened heap are on: bits in the state, the same for all its threads. */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32, store32 } from "../target/glue.ts";
import { randomNext } from "./random.ts";

/** Whether one of these features is on. */
export function featureOn(bits: u32): bool {
  return (load32(stateBase, L.S_HARDENING) & bits) !== 0;
}

/**
 * Turns features on in a state without blocks; once. `guard`: bytes of a page that the source can
 * protect, or 0.
 */
export function hardeningBegin(bits: u32, guard: u32): void {
  store32(stateBase, L.S_SECRET, randomNext());
  store32(stateBase, L.S_SECRET_2, randomNext());
  store32(stateBase, L.S_GUARD, guard);
  store32(stateBase, L.S_HARDENING, bits);
}

/** What is asked of the pages for a request: the record comes on top. It may be too large. */
export function sizeFull(size: u32): u32 {
  if (!featureOn(L.HARD_RECORD) || size > 0xffffffff - L.RECORD_SIZE) return size;
  return sizeKept(size) + L.RECORD_SIZE;
}

/** The request behind a full size, for errors. */
export function sizeAsked(full: u32): u32 {
  return featureOn(L.HARD_RECORD) ? full - L.RECORD_SIZE : full;
}

/** With a record, a block of no bytes is one of a word. */
export function sizeKept(size: u32): u32 {
  return size === 0 && featureOn(L.HARD_RECORD) ? L.WORD : size;
}
