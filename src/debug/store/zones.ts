/**
 * Bytes that only the allocator may write: zones of canary around a block, poison in a freed one.
 * Both repeat a word by address, so any part of a zone can be filled or checked.
 */
import type { Damage } from "../report/mistakes.ts";
import type { FreedState } from "./block.ts";

/** The word of freed bytes, as in Zig. */
const POISON = 0xdddddddd;
/** Bytes of a new block, as in Zig, so that a read before a write shows. */
const FRESH = 0xaa;

/** The memory as it is now. */
export interface Bytes {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
}

export class Zones {
  readonly #memory: Bytes;
  readonly #canary: number;

  /** @param canary A word that programs are unlikely to write. */
  constructor(memory: Bytes, canary: number) {
    this.#memory = memory;
    this.#canary = canary >>> 0;
  }

  fillCanary(from: number, to: number): void {
    fillWord(this.#memory, this.#canary, from, to);
  }

  canaryDamage(from: number, to: number): Damage | undefined {
    return findDamage(this.#memory, this.#canary, from, to);
  }

  fillFreed(freedState: FreedState, from: number, to: number): void {
    this.#memory.u8.fill(freedWord(freedState) & 255, from, to);
  }

  freedDamage(freedState: FreedState, from: number, to: number): Damage | undefined {
    return findDamage(this.#memory, freedWord(freedState), from, to);
  }

  fillFresh(from: number, to: number): void {
    this.#memory.u8.fill(FRESH, from, to);
  }
}

function freedWord(freedState: FreedState): number {
  return freedState === "zeroed" ? 0 : POISON;
}

function byteAt(word: number, address: number): number {
  return (word >>> ((address & 3) << 3)) & 255;
}

function fillWord({ u8, u32 }: Bytes, word: number, from: number, to: number): void {
  let at = from;
  for (; (at & 3) !== 0 && at < to; at++) u8[at] = byteAt(word, at);
  const end = to - (to % 4);
  if (at < end) u32.fill(word, at / 4, end / 4);
  for (at = Math.max(at, end); at < to; at++) u8[at] = byteAt(word, at);
}

/** Compares whole words first: nearly always there is no damage, and only this loop runs. */
function findDamage(memory: Bytes, word: number, from: number, to: number): Damage | undefined {
  const { u8, u32 } = memory;
  let at = from;
  for (; (at & 3) !== 0 && at < to; at++) if (u8[at] !== byteAt(word, at)) break;
  if ((at & 3) === 0) for (; at + 4 <= to && u32[at >>> 2] === word; at += 4);
  for (; at < to; at++) if (u8[at] !== byteAt(word, at)) break;
  return at < to ? describeDamage(u8, word, at, to) : undefined;
}

function describeDamage(u8: Uint8Array, word: number, from: number, to: number): Damage {
  let first = -1;
  let count = 0;
  for (let at = from; at < to; at++) {
    if (u8[at] === byteAt(word, at)) continue;
    if (first < 0) first = at;
    count++;
  }
  return { at: first, count };
}
