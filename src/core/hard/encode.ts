/**
 * Encoding of the links of free lists and of canaries (specification 18.3): a stray or hostile
 * write that does not know the keys decodes, almost certainly, to an address outside the page. The
 * functions take only numbers, so walk.ts uses them too.
 */
import { mul32 } from "../target/glue.ts";

export function rotateLeft(x: u32, n: u32): u32 {
  return ((x << (n & 31)) | (x >>> ((32 - n) & 31))) >>> 0;
}

/** Encodes an address. Null is encoded as `nothing`, so that no word of a list is predictable. */
export function encode(nothing: u32, p: usize, key0: u32, key1: u32): u32 {
  const word: u32 = ((p !== 0 ? p : nothing) ^ key1) >>> 0;
  return (rotateLeft(word, key0) + key0) >>> 0;
}

export function decode(nothing: u32, word: u32, key0: u32, key1: u32): usize {
  const p: usize = (rotateLeft((word - key0) >>> 0, (32 - (key0 & 31)) >>> 0) ^ key1) >>> 0;
  return p === nothing ? 0 : p;
}

/**
 * A permutation of 32-bit words in which every bit of the result depends on every bit of the word.
 */
export function shuffle32(word: u32): u32 {
  let x: u32 = word === 0 ? 17 : word;
  x = (x ^ (x >>> 16)) >>> 0;
  x = mul32(x, 0x7feb352d);
  x = (x ^ (x >>> 15)) >>> 0;
  x = mul32(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
