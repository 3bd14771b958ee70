/** What a hardened core calls besides the functions of every core: see HardHost. */

import type { CoreHost } from "../core/target/glue.ts";
import type { HardHost } from "../core/target/glue-hard.ts";
import type { CoreSetting } from "./backend.ts";
import { readReport } from "./hardening-reports.ts";

/** Random words from the host, or from the seed of the setting; reports and guard pages. */
export function hardHost(setting: CoreSetting): Omit<HardHost, keyof CoreHost> {
  const { source } = setting;
  const fill = randomOf(setting.hardening?.seed);
  return {
    random: (at, count) => {
      const words = new Uint32Array(count);
      const strong = fill(words);
      new Uint32Array(source.buffer, at >>> 0, count).set(words);
      return strong;
    },
    report: (kind, p, a, b) =>
      setting.onReport(readReport({ kind: kind >>> 0, ptr: p >>> 0, a: a >>> 0, b: b >>> 0 })),
    protect: (p, size, on) =>
      void source.pages?.[on ? "protect" : "unprotect"](p >>> 0, size >>> 0),
  };
}

/**
 * Fills words with random bits and returns true; without a source, or a seed, fills them with what
 * is hard to guess and returns false.
 */
type RandomFill = (words: Uint32Array<ArrayBuffer>) => boolean;

function randomOf(seed: number | undefined): RandomFill {
  if (seed === undefined) return randomHost;
  let state = seed;
  return (words) => {
    for (let i = 0; i < words.length; i++) {
      state = (state + 0x9e3779b9) >>> 0;
      words[i] = splitMix(state);
    }
    return true;
  };
}

function splitMix(state: number): number {
  let x = state >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

function randomHost(words: Uint32Array<ArrayBuffer>): boolean {
  try {
    globalThis.crypto.getRandomValues(words);
    return true;
  } catch {
    words[0] = Math.trunc((globalThis.performance?.now() ?? 0) * 1000) ^ Date.now();
    return false;
  }
}
