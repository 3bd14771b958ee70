/**
 * Random words of a heap, for keys and orders. Each heap has a context of its own, so threads share
 * none; a heap beside another splits its context off. Without randomness from the host the key
 * comes from what is hard to guess, the context counts as weak, and every 16 words it asks the host
 * again.
 */

import { heapBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32, store32 } from "../target/glue.ts";
import { hostRandom } from "../target/glue-hard.ts";
import {
  CHACHA_LEFT,
  CHACHA_OUTPUT,
  CHACHA_WEAK,
  chachaInit,
  chachaNext,
  chachaSplit,
} from "./chacha.ts";
import { shuffle32 } from "./encode.ts";

const KEY_WORDS: u32 = 8;

/** The context of the heap that is bound, which is new. */
export function randomBegin(): void {
  const context: usize = heapBase + L.H_RANDOM;
  const parent: usize = load32(heapBase, L.H_OF);
  if (parent !== 0) chachaSplit(parent + L.H_RANDOM, context, context, 0);
  else randomSeed(context);
}

/** A key from the host; the context's address is the nonce. */
function randomSeed(context: usize): void {
  const key: usize = context + CHACHA_OUTPUT;
  const strong: bool = hostRandom(key, KEY_WORDS);
  if (!strong) keyWeak(key);
  chachaInit(context, key, context, 0);
  store32(context, CHACHA_WEAK, strong ? 0 : 1);
}

/** A key from one word that the host wrote, say the time, and the place of the heap. */
function keyWeak(key: usize): void {
  let x: u32 = (load32(key, 0) ^ key) >>> 0;
  const rounds: u32 = (((x ^ (x >>> 17)) & 15) >>> 0) + 1;
  for (let i: u32 = 0; i < rounds; i++) x = shuffle32(x);
  for (let i: u32 = 0; i < KEY_WORDS; i++) {
    x = shuffle32(x);
    store32(key + (i << 2), 0, x);
  }
}

export function randomNext(): u32 {
  const context: usize = heapBase + L.H_RANDOM;
  if (load32(context, CHACHA_LEFT) === 0) randomRenew();
  return chachaNext(context);
}

/** A weak context takes a new key, if the host has one now. */
export function randomRenew(): void {
  if (randomIsWeak()) randomSeed(heapBase + L.H_RANDOM);
}

/** Whether the keys of the heap that is bound could be guessed. */
export function randomIsWeak(): bool {
  return load32(heapBase + L.H_RANDOM, CHACHA_WEAK) !== 0;
}
