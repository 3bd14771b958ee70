/**
 * The glue under a scheduler that sees every plain access too, for tests. Copies go word by word,
 * so that a thread may end during a copy.
 */
import { memoryCopy as copyPlain, load32 as loadPlain, store32 as storePlain } from "./glue.ts";

export * from "./glue.ts";

/** Imports of this build. */
export interface EachStepHost {
  /** Before a plain access to a word. */
  plain(index: number, load: boolean): void;
}

declare const host: EachStepHost;

export function load32(p: usize, offset: u32): u32 {
  host.plain((p + offset) >>> 2, true);
  return loadPlain(p, offset);
}

export function store32(p: usize, offset: u32, value: u32): void {
  host.plain((p + offset) >>> 2, false);
  storePlain(p, offset, value);
}

/**
 * For ranges that do not overlap and begin at a word; the last bytes, less than a word, come last.
 */
export function memoryCopy(to: usize, from: usize, size: u32): void {
  const whole: u32 = (size & ~3) >>> 0;
  for (let at: u32 = 0; at < whole; at += 4) store32(to + at, 0, load32(from + at, 0));
  copyPlain(to + whole, from + whole, size - whole);
}

export function memoryZero(p: usize, size: u32): void {
  for (let at: u32 = 0; at < size; at += 4) store32(p + at, 0, 0);
}
