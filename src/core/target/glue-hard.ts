/** Imports of the hardened builds only, JavaScript side; glue-hard.as.ts is the other side. */
import type { CoreHost } from "./glue.ts";
import { bytes } from "./glue.ts";

export interface HardHost extends CoreHost {
  /**
   * Fills `words` words of the memory at an address with random bits. False = there is no source of
   * random bits, and the words are only hard to guess.
   */
  random(at: number, words: number): boolean | number;
  /** Reports a mistake: REPORT_* of layout.ts, with the numbers that layout.ts lists. */
  report(kind: number, p: number, a: number, b: number): void;
  /** Makes whole pages inaccessible, or accessible again. */
  protect(p: number, size: number, on: boolean | number): void;
}

declare const host: HardHost;

export function hostRandom(at: usize, words: u32): bool {
  return !!host.random(at, words);
}

export function hostReport(kind: u32, p: usize, a: u32, b: u32): void {
  host.report(kind, p, a, b);
}

export function hostProtect(p: usize, size: usize, on: bool): void {
  host.protect(p, size, on);
}

export function memoryFill(p: usize, value: u32, size: usize): void {
  bytes.fill(value, p, p + size);
}
