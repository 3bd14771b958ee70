/**
 * The hardening of a heap as its user sees it: features by name, what the core reports in words,
 * and where random words come from. docs/hardening.md has the price of each feature.
 */
import * as L from "./core/layout.ts";
import { type HeapErrorCode, hex, wrongKind } from "./errors.ts";

const bits = {
  encode: L.HARD_ENCODE,
  shuffle: L.HARD_SHUFFLE,
  padding: L.HARD_PADDING,
  canary: L.HARD_CANARY,
  doubleFree: L.HARD_DOUBLE_FREE,
  fill: L.HARD_FILL,
  checkedFree: L.HARD_CHECKED_FREE,
  guardPages: L.HARD_GUARD_PAGES,
};

export type HardeningFeature = keyof typeof bits;

export const hardeningFeatures = Object.keys(bits) as HardeningFeature[];

/** All features, none (the plain core), or those that are listed. */
export type HardeningOption = boolean | "all" | readonly HardeningFeature[];

/** What a hardened core starts with. */
export interface Hardening {
  /** Bits HARD_* of layout.ts; undefined in a thread that joins: they stand in the memory. */
  readonly bits?: number | undefined;
  readonly seed?: number | undefined;
}

/** The features that a heap has, and how good its keys are. */
export interface HardeningState {
  readonly features: readonly HardeningFeature[];
  /** Neither the host nor a seed gave random words: the keys can be guessed. */
  readonly weak: boolean;
}

/** undefined = the plain core. */
export function hardeningOf(option?: HardeningOption, seed?: number): Hardening | undefined {
  if (option === undefined || option === false) {
    if (seed === undefined) return undefined;
    throw new TypeError("seed is for a heap with hardening");
  }
  const names = Array.isArray(option) ? (option as HardeningFeature[]) : hardeningFeatures;
  return { bits: names.reduce((sum, name) => sum | bits[name], 0), seed };
}

export function featuresOf(word: number): HardeningFeature[] {
  return hardeningFeatures.filter((name) => (word & bits[name]) !== 0);
}

/** What is wrong with a value of the option, or undefined. */
export function hardeningRefuse(value: unknown): Error | undefined {
  if (typeof value === "boolean" || value === "all") return undefined;
  if (!Array.isArray(value)) {
    if (typeof value === "string") return unknownFeature(value);
    return wrongKind("hardening", "a boolean or a list", value);
  }
  const wrong = value.find((name) => !hardeningFeatures.includes(name as HardeningFeature));
  return wrong === undefined && !value.includes(undefined) ? undefined : unknownFeature(wrong);
}

function unknownFeature(name: unknown): Error {
  const known = hardeningFeatures.join(", ");
  return new RangeError(`unknown hardening feature ${String(name)}; known: all, ${known}`);
}

export function seedRefuse(value: unknown): Error | undefined {
  if (typeof value !== "number") {
    return wrongKind("seed", "a number", value);
  }
  if (value >>> 0 === value) return undefined;
  return new RangeError(`seed must be a whole number from 0 to 4294967295, not ${value}`);
}

/** A mistake as a hardened core reports it: see REPORT_* in layout.ts. */
export interface CoreReport {
  readonly kind: number;
  readonly ptr: number;
  readonly a: number;
  readonly b: number;
}

const EAGAIN = 11;
const calls = ["free", "usable_size", "realloc"];

interface ReportKind {
  /** errno of the report, for onError. */
  readonly errno: number;
  /** Of the HeapError, when there is no onError. */
  readonly code: HeapErrorCode;
  text(report: CoreReport): string;
}

function pointerKind(code: HeapErrorCode, text: string): ReportKind {
  const say = ({ ptr, a }: CoreReport) => `${calls[a]}: ${text}: ${hex(ptr)}`;
  return { errno: L.EINVAL, code, text: say };
}

const kinds = new Map<number, ReportKind>([
  [
    L.REPORT_DOUBLE_FREE,
    {
      errno: EAGAIN,
      code: "ERR_DOUBLE_FREE",
      text: ({ ptr, a }) =>
        `double free detected of block ${hex(ptr)}${a === 0 ? "" : ` with size ${a}`}`,
    },
  ],
  [
    L.REPORT_OVERFLOW,
    {
      errno: L.EFAULT,
      code: "ERR_BUFFER_OVERFLOW",
      text: ({ ptr, a, b }) =>
        `buffer overflow in heap block ${hex(ptr)} of size ${a}: write after ${b} bytes`,
    },
  ],
  [
    L.REPORT_FREE_LIST,
    {
      errno: L.EFAULT,
      code: "ERR_CORRUPTED_FREE_LIST",
      text: ({ ptr, a, b }) =>
        `corrupted free list entry of size ${a}b at ${hex(ptr)}: value ${hex(b)}`,
    },
  ],
  [L.REPORT_UNALIGNED, pointerKind("ERR_INTERIOR_POINTER", "invalid (unaligned) pointer")],
  [
    L.REPORT_FOREIGN,
    pointerKind("ERR_FOREIGN_POINTER", "pointer does not point to a valid heap space"),
  ],
  [L.REPORT_INTERIOR, pointerKind("ERR_INTERIOR_POINTER", "pointer points into a block")],
]);

/** What a report says: an errno and a sentence for a handler, a code for an exception. */
export function reportRead(report: CoreReport): {
  errno: number;
  code: HeapErrorCode;
  text: string;
} {
  const kind = kinds.get(report.kind) as ReportKind;
  return { errno: kind.errno, code: kind.code, text: kind.text(report) };
}

/**
 * Fills words with random bits and answers true; without a source, or a seed, with what is hard to
 * guess, and answers false.
 */
export type RandomFill = (words: Uint32Array<ArrayBuffer>) => boolean;

export function randomOf(seed: number | undefined): RandomFill {
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
