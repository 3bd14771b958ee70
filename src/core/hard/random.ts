/**
 * Random words of a heap, for keys and orders. Each heap has a context of its own, so threads share
 * none; a sub-heap splits its context from that of its backing heap. If the host has no source of
 * randomness, the key comes from values that are hard to guess, the context is marked weak, and the
 * heap asks the host again every 16 words.
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

/** Begins the context of the bound heap, which is new. */
export function randomBegin(): void {
  const context: usize = heapBase + L.H_RANDOM;
  const parent: usize = load32(heapBase, L.H_OF);
  if (parent !== 0) chachaSplit(parent + L.H_RANDOM, context, context, 0);
  else randomSeed(context);
}

/** Takes a key from the host; the context's address is the nonce. */
function randomSeed(context: usize): void {
  const key: usize = context + CHACHA_OUTPUT;
  const strong: bool = hostRandom(key, KEY_WORDS);
  if (!strong) keyWeak(key);
  chachaInit(context, key, context, 0);
  store32(context, CHACHA_WEAK, strong ? 0 : 1);
}

/** Derives a key from one word that the host wrote, such as the time, and the heap's address. */
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

/** Gives a weak context a new key, if the host has one now. */
export function randomRenew(): void {
  if (randomIsWeak()) randomSeed(heapBase + L.H_RANDOM);
}

/** Whether the keys of the bound heap could be guessed. */
export function randomIsWeak(): bool {
  return load32(heapBase + L.H_RANDOM, CHACHA_WEAK) !== 0;
}
