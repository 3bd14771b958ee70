/**
 * Sealed words in blocks: links of free lists, and canaries. A stray or hostile write cannot
 * produce a valid one. The lists are those of the unhardened build; only the encoding of the link
 * differs, and code that follows a link checks where it leads.
 *
 * Each small page has a random word of its own, and both keys are derived from that word and the
 * state's secret. Medium pages and large blocks have no lists of their own; the words in their
 * blocks, links on a remote list and canaries, are sealed with keys derived from the secret and the
 * address of the descriptor.
 */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32, store32 } from "../target/glue.ts";
import { decode, encode, shuffle32 } from "./encode.ts";
import { featureOn } from "./features.ts";

function keyOf(page: usize): u32 {
  const alone: bool = (load32(page, L.D_OWNER) & (L.FLAG_MEDIUM | L.FLAG_LARGE)) !== 0;
  return alone ? (load32(stateBase, L.S_SECRET) ^ page) >>> 0 : load32(page, L.D_KEY);
}

function keySecond(key: u32): u32 {
  return shuffle32((key ^ load32(stateBase, L.S_SECRET_2)) >>> 0);
}

/** Seals an address for a block of a page. */
export function pageSeal(page: usize, p: usize): u32 {
  const key: u32 = keyOf(page);
  return encode(page, p, key, keySecond(key));
}

export function pageUnseal(page: usize, word: u32): usize {
  const key: u32 = keyOf(page);
  return decode(page, word, key, keySecond(key));
}

/** The block that the link in a free block points to, unchecked. */
export function linkLoad(page: usize, block: usize): usize {
  const word: u32 = load32(block, 0);
  return featureOn(L.HARD_ENCODE) ? pageUnseal(page, word) : word;
}

export function linkStore(page: usize, block: usize, next: usize): void {
  store32(block, 0, featureOn(L.HARD_ENCODE) ? pageSeal(page, next) : next);
}
