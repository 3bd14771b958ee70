/**
 * What every heap knows of hardening, since threads join hardened heaps without terrane/hardening:
 * features by name, and what the core reports in words.
 */

import { EAGAIN } from "../common/errno.ts";
import { type HeapErrorCode, hex } from "../common/errors.ts";
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

/** Every feature, in the order of its bit. */
export const hardeningFeatures = Object.keys(bits) as HardeningFeature[];

/** What `hardening()` of terrane/hardening returns: a value for the option of createHeap. */
export interface Hardening {
  /** The features that are on; undefined: all. */
  readonly features: readonly HardeningFeature[] | undefined;
  /** The same seed gives the same keys and orders; undefined: they are random. */
  readonly seed: number | undefined;
  /** Its build of the core is WebAssembly. */
  readonly kind: "wasm";
  /** Its build of the core is for one thread. */
  readonly shared: false;
}

/** What `sharedHardening()` of terrane/hardening returns: for the option of createSharedHeap. */
export interface SharedHardening extends Omit<Hardening, "shared"> {
  /** Its build of the core is for threads. */
  readonly shared: true;
}

/** What a hardened core starts with. */
export interface HardenedStart {
  /** Bits HARD_* of layout.ts; undefined in a thread that joins: they stand in the memory. */
  readonly bits?: number;
  readonly seed?: number | undefined;
  /** Whether the user has chosen features or a seed. */
  readonly chosen?: boolean;
}

/** The features that a heap has, and how good its keys are. */
export interface HardeningState {
  readonly features: readonly HardeningFeature[];
  /** Neither the host nor a seed gave random words: the keys can be guessed. */
  readonly weak: boolean;
}

/** The word of the core that these make. */
export function bitsOf(features: readonly HardeningFeature[]): number {
  return features.reduce((sum, name) => sum | bits[name], 0);
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
      code: "ERR_HEAP_OVERFLOW",
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
    pointerKind("ERR_NOT_A_BLOCK", "pointer does not point to a valid heap space"),
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
