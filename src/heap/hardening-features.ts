/**
 * What every heap knows of hardening, since threads join hardened heaps without terrane/hardening:
 * features by name, what the core reports in words, and where random words come from.
 */

import { EAGAIN } from "../common/errno.ts";
import { type HeapErrorCode, hex } from "../common/errors.ts";
import type { HardCoreExports, SharedCoreExports } from "../core/contract.ts";
import * as L from "../core/layout/layout.ts";

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

/** The hardened builds of the core, for one thread and for threads, in both back ends. */
export interface HardenedCores {
  /** In base64. */
  readonly wasm: string;
  readonly sharedWasm: string;
  /** The host is a HardHost: declared so, its types would ask users for those of the dialect. */
  js(host: never): HardCoreExports;
  sharedJs(host: never): SharedCoreExports & HardCoreExports;
}

/** What `hardening()` of terrane/hardening answers, for the options of a heap. */
export interface Hardening {
  /** Undefined: all. */
  readonly features: readonly HardeningFeature[] | undefined;
  /** Undefined: keys and orders are random. */
  readonly seed: number | undefined;
  readonly cores: HardenedCores;
}

/** What a hardened core starts with. */
export interface HardenedStart {
  /** Bits HARD_* of layout.ts; undefined in a thread that joins: they stand in the memory. */
  readonly bits?: number;
  readonly seed: number | undefined;
  /** Undefined in a thread that joins and was given none. */
  readonly cores: HardenedCores | undefined;
}

/** The features that a heap has, and how good its keys are. */
export interface HardeningState {
  readonly features: readonly HardeningFeature[];
  /** Neither the host nor a seed gave random words: the keys can be guessed. */
  readonly weak: boolean;
}

/** The word of the core that these make. */
function bitsOf(features: readonly HardeningFeature[]): number {
  return features.reduce((sum, name) => sum | bits[name], 0);
}

/** Undefined = the plain core. */
export function startOf(option: Hardening | false | undefined): HardenedStart | undefined {
  if (!option) return undefined;
  const { features = hardeningFeatures, seed, cores } = option;
  return { bits: bitsOf(features), seed, cores };
}

/**
 * Of a thread that joins. Most need no builds of their own: a handle of the wasm back end has the
 * compiled core with it.
 */
export function startJoining(
  theirs: { readonly seed?: number | undefined } | undefined,
  option: Hardening | false | undefined,
): HardenedStart | undefined {
  const { features, seed, cores } = option || {};
  if (features !== undefined || seed !== undefined) {
    throw new TypeError("features and seed are settled by the thread that made the heap");
  }
  return theirs && { seed: theirs.seed, cores };
}

export function coresNeed({ cores }: HardenedStart): HardenedCores {
  if (cores) return cores;
  throw new TypeError(
    'the heap is hardened: import { hardening } from "terrane/hardening" and attach with ' +
      "{ hardening: hardening() }",
  );
}

export function featuresOf(word: number): HardeningFeature[] {
  return hardeningFeatures.filter((name) => (word & bits[name]) !== 0);
}

/** A mistake as a hardened core reports it: see REPORT_* in layout.ts. */
export interface CoreReport {
  readonly kind: number;
  readonly ptr: number;
  readonly a: number;
  readonly b: number;
}

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
type RandomFill = (words: Uint32Array<ArrayBuffer>) => boolean;

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
