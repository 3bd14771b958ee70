/**
 * ChaCha20 (Bernstein 2008, the original layout with a counter of 64 bits) on a context in memory:
 *
 *   0                                              64               128         132
 *   +------------------+--------+---------+--------+----------------+-----------+------+
 *   | expand 32-byte k | key    | counter | nonce  | 16 words that  | how many  | weak |
 *   | 4 words          | 8      | 2       | 2      | are handed out | are left  |      |
 *   +------------------+--------+---------+--------+----------------+-----------+------+
 *
 *   words left + words handed out == 16 for each block; a word that was handed out is 0
 */

import { load32, memoryCopy, memoryZero, store32 } from "../target/glue.ts";
import { rotateLeft } from "./encode.ts";

export const CHACHA_KEY: u32 = 16;
const CHACHA_COUNTER: u32 = 48;
const CHACHA_COUNTER_HIGH: u32 = 52;
const CHACHA_NONCE: u32 = 56;
const CHACHA_NONCE_HIGH: u32 = 60;
export const CHACHA_OUTPUT: u32 = 64;
export const CHACHA_LEFT: u32 = 128;
export const CHACHA_WEAK: u32 = 132;
const BLOCK_SIZE: u32 = 64;
const KEY_SIZE: u32 = 32;
const BLOCK_WORDS: u32 = 16;
const DOUBLE_ROUNDS: u32 = 10;

/** One quarter round on the words at `at` with these indices. */
export function quarterRound(at: usize, a: u32, b: u32, c: u32, d: u32): void {
  let w: u32 = load32(at + (a << 2), 0);
  let x: u32 = load32(at + (b << 2), 0);
  let y: u32 = load32(at + (c << 2), 0);
  let z: u32 = load32(at + (d << 2), 0);
  w = (w + x) >>> 0;
  z = rotateLeft((z ^ w) >>> 0, 16);
  y = (y + z) >>> 0;
  x = rotateLeft((x ^ y) >>> 0, 12);
  w = (w + x) >>> 0;
  z = rotateLeft((z ^ w) >>> 0, 8);
  y = (y + z) >>> 0;
  x = rotateLeft((x ^ y) >>> 0, 7);
  store32(at + (a << 2), 0, w);
  store32(at + (b << 2), 0, x);
  store32(at + (c << 2), 0, y);
  store32(at + (d << 2), 0, z);
}

function doubleRound(at: usize): void {
  for (let i: u32 = 0; i < 4; i++) quarterRound(at, i, i + 4, i + 8, i + 12);
  quarterRound(at, 0, 5, 10, 15);
  quarterRound(at, 1, 6, 11, 12);
  quarterRound(at, 2, 7, 8, 13);
  quarterRound(at, 3, 4, 9, 14);
}

/** Makes the next 16 words and increments the counter, with its carry into the nonce. */
export function chachaBlock(context: usize): void {
  const output: usize = context + CHACHA_OUTPUT;
  memoryCopy(output, context, BLOCK_SIZE);
  for (let round: u32 = 0; round < DOUBLE_ROUNDS; round++) doubleRound(output);
  for (let i: u32 = 0; i < BLOCK_SIZE; i += 4) {
    store32(output + i, 0, load32(output + i, 0) + load32(context + i, 0));
  }
  store32(context, CHACHA_LEFT, BLOCK_WORDS);
  if (!countUp(context, CHACHA_COUNTER)) return;
  if (countUp(context, CHACHA_COUNTER_HIGH)) countUp(context, CHACHA_NONCE);
}

/** Adds 1 to a word; returns whether it wrapped to 0. */
function countUp(context: usize, offset: u32): bool {
  const next: u32 = (load32(context + offset, 0) + 1) >>> 0;
  store32(context + offset, 0, next);
  return next === 0;
}

/** Begins with the 8 words at `key`, which may lie in the context's output, and a nonce. */
export function chachaInit(context: usize, key: usize, nonce: u32, nonceHigh: u32): void {
  memoryCopy(context + CHACHA_KEY, key, KEY_SIZE);
  chachaBegin(context, nonce, nonceHigh);
}

/** Sets the words beside the key; no word is left to hand out. */
function chachaBegin(context: usize, nonce: u32, nonceHigh: u32): void {
  store32(context, 0, 0x61707865);
  store32(context, 4, 0x3320646e);
  store32(context, 8, 0x79622d32);
  store32(context, 12, 0x6b206574);
  store32(context, CHACHA_COUNTER, 0);
  store32(context, CHACHA_COUNTER_HIGH, 0);
  store32(context, CHACHA_NONCE, nonce);
  store32(context, CHACHA_NONCE_HIGH, nonceHigh);
  memoryZero(context + CHACHA_OUTPUT, BLOCK_SIZE);
  store32(context, CHACHA_LEFT, 0);
}

/** Begins another stream of the same key at `to`, with another nonce, and makes its first block. */
export function chachaSplit(context: usize, to: usize, nonce: u32, nonceHigh: u32): void {
  chachaInit(to, context + CHACHA_KEY, nonce, nonceHigh);
  store32(to, CHACHA_WEAK, load32(context, CHACHA_WEAK));
  chachaBlock(to);
}

/** Returns 32 random bits. */
export function chachaNext(context: usize): u32 {
  if (load32(context, CHACHA_LEFT) === 0) chachaBlock(context);
  const left: u32 = load32(context, CHACHA_LEFT);
  const at: usize = context + CHACHA_OUTPUT + ((BLOCK_WORDS - left) << 2);
  const word: u32 = load32(at, 0);
  store32(at, 0, 0);
  store32(context, CHACHA_LEFT, left - 1);
  return word;
}

/** Checks the equation above. */
export function chachaIsValid(context: usize): bool {
  const left: u32 = load32(context, CHACHA_LEFT);
  if (left > BLOCK_WORDS) return false;
  for (let i: u32 = 0; i < BLOCK_WORDS - left; i++) {
    if (load32(context + CHACHA_OUTPUT + (i << 2), 0) !== 0) return false;
  }
  return true;
}
