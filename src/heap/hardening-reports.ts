/** What a hardened core reports, in words. */

import { EAGAIN, EFAULT, EINVAL } from "../common/errno.ts";
import { type HeapErrorCode, hex } from "../common/errors.ts";
import * as L from "../core/layout/layout.ts";
import type { Mistake } from "./backend.ts";

/** A mistake as a hardened core reports it: see REPORT_* in layout.ts. */
interface CoreReport {
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
  return { errno: EINVAL, code, text: ({ ptr, a }) => `${calls[a]}: ${text}: ${hex(ptr)}` };
}

/** The kinds of reports, by REPORT_*. */
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
      errno: EFAULT,
      code: "ERR_HEAP_OVERFLOW",
      text: ({ ptr, a, b }) =>
        `buffer overflow in heap block ${hex(ptr)} of size ${a}: write after ${b} bytes`,
    },
  ],
  [
    L.REPORT_FREE_LIST,
    {
      errno: EFAULT,
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

/** A report in words. */
export function readReport(report: CoreReport): Mistake {
  const { errno, code, text } = kinds.get(report.kind) as ReportKind;
  return { errno, code, ptr: report.ptr, text: text(report) };
}
