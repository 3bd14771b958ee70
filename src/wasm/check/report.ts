/** Reports of mistakes: what they contain, and how they are written as text. */

import { hex } from "../../common/errors.ts";
import { checkMembers } from "../../common/kinds.ts";
import { type MistakeCode, mistakes } from "../../common/mistakes.ts";
import type { Frame } from "../symbols/frame.ts";

/** The mistakes that a checked program can make. */
const codes = [
  "ERR_HEAP_OVERFLOW",
  "ERR_HEAP_UNDERFLOW",
  "ERR_USE_AFTER_FREE",
  "ERR_NULL_ACCESS",
  "ERR_WILD_ACCESS",
  "ERR_UNINITIALISED_READ",
  "ERR_DOUBLE_FREE",
  "ERR_INTERIOR_POINTER",
  "ERR_STACK_POINTER",
  "ERR_STATIC_POINTER",
  "ERR_NOT_A_BLOCK",
  "ERR_FAMILY_MISMATCH",
  "ERR_SIZE_MISMATCH",
  "ERR_REALLOC_AFTER_FREE",
  "ERR_SIZE_OVERFLOW",
  "ERR_LEAK",
  "ERR_INDIRECT_LEAK",
  "ERR_POSSIBLE_LEAK",
] as const satisfies readonly MistakeCode[];

/** A kind of mistake: `heap-overflow`, `double-free`, `leak` and so on; see `kinds`. */
export type Kind = (typeof mistakes)[(typeof codes)[number]]["title"];

/** All kinds of mistakes that a report can have, each with one sentence that says what it is. */
export const kinds: Readonly<Record<Kind, string>> = Object.fromEntries(
  codes.map((code) => [mistakes[code].title, mistakes[code].text]),
) as Record<Kind, string>;

/** The block that a report is about. */
export interface ReportBlock {
  /** Address of its first byte. */
  readonly address: number;
  /** Bytes that were requested. */
  readonly size: number;
  /** Whether it has not been freed. */
  readonly live: boolean;
  /** The name of the function that has allocated it: `malloc`. */
  readonly allocatedBy: string;
  /** The name of the function that has freed it; undefined if it is live. */
  readonly freedBy?: string | undefined;
  /** Calls that led to its allocation, innermost first. */
  readonly allocated: readonly Frame[];
  /** Calls that led to its free; undefined if it is live. */
  readonly freed?: readonly Frame[] | undefined;
}

/** A mistake of the program. */
export interface Report {
  /** What kind of mistake it is. */
  readonly kind: Kind;
  /** One sentence: what happened, with addresses and sizes. */
  readonly text: string;
  /** Address of the access, or the pointer that was freed. */
  readonly address: number;
  /** Bytes of the access, or of the blocks that leaked; 0 for other mistakes. */
  readonly size: number;
  /** Whether it is an access that writes. */
  readonly write: boolean;
  /** Calls that led to the mistake, innermost first; of a leak, to the allocation. */
  readonly stack: readonly Frame[];
  /** The block that the mistake is about, if there is one. */
  readonly block?: ReportBlock | undefined;
  /** Where the address is in relation to the block. */
  readonly where?: string | undefined;
  /** How often the mistake was made, or how many blocks leaked. */
  count: number;
}

/** A call as one line: function, file, line and column. */
export function frameText(frame: Frame): string {
  if (frame.file === undefined) return frame.function;
  const column = frame.column ? `:${frame.column}` : "";
  return `${frame.function} (${frame.file}:${frame.line}${column})`;
}

function stackLines(title: string, frames: readonly Frame[]): string[] {
  if (frames.length === 0) return [];
  return [`  ${title}`, ...frames.map((frame) => `    at ${frameText(frame)}`)];
}

/**
 * Formats a report as lines of text: the kind and what happened, the calls that led there, and the
 * block with the calls of its allocation and free.
 */
export function formatReport(report: Report): string {
  checkMembers("report", "a report of a checker", report, "kind", "text", "stack");
  const { block, stack } = report;
  const lines = [`${report.kind}: ${report.text}`];
  lines.push(...stack.map((frame) => `    at ${frameText(frame)}`));
  if (report.where) lines.push(`  ${report.where}`);
  if (block) {
    const leaked = report.kind.endsWith("leak");
    if (!leaked) lines.push(...stackLines(`allocated by ${block.allocatedBy}`, block.allocated));
    if (block.freed) lines.push(...stackLines(`freed by ${block.freedBy}`, block.freed));
  }
  return lines.join("\n");
}

export function bytesText(size: number): string {
  return size === 1 ? "1 byte" : `${size} bytes`;
}

/** Describes an access: "write of 4 bytes at 0x20000034". */
export function accessText(write: boolean, size: number, address: number): string {
  return `${write ? "write" : "read"} of ${bytesText(size)} at ${hex(address)}`;
}
