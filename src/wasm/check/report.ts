/** What is found: the kinds of mistakes, and reports as text. */
import { hex } from "../../common/errors.ts";
import type { Frame } from "../symbols/frame.ts";

/** Kinds of mistakes, and the one line that tells what each is. */
export const kinds = {
  "heap-overflow": "access behind the end of a block",
  "heap-underflow": "access before the start of a block",
  "use-after-free": "access to a block that was freed",
  "null-access": "access through a null pointer",
  "wild-access": "access to memory that belongs to nobody",
  "uninitialised-read": "memory that was never written decides what the program does",
  "double-free": "a block is freed twice",
  "interior-free": "free of a pointer into a block",
  "stack-free": "free of a pointer to the stack",
  "static-free": "free of a pointer to a static variable",
  "wild-free": "free of a pointer that is no block",
  "mismatched-free": "a block is freed by another family of functions than it came from",
  "size-mismatch": "a block is freed with another size than it has",
  "realloc-after-free": "realloc of a block that was freed",
  "invalid-realloc": "realloc of a pointer that is no block",
  "calloc-overflow": "count times size is more than 32 bits",
  leak: "a block that nothing points to at the end",
  "indirect-leak": "a block that only leaked blocks point to",
  "possible-leak": "a block that only a local variable can point to at exit",
} as const;

export type Kind = keyof typeof kinds;

/** The block that a report is about. */
export interface ReportBlock {
  readonly address: number;
  readonly size: number;
  readonly live: boolean;
  /** The functions that have made and freed it. */
  readonly allocatedBy: string;
  readonly freedBy?: string | undefined;
  readonly allocated: readonly Frame[];
  readonly freed?: readonly Frame[] | undefined;
}

/** A mistake of the program. */
export interface Report {
  readonly kind: Kind;
  /** One sentence: what happened, with addresses and sizes. */
  readonly text: string;
  /** Address of the access, or the pointer that was freed. */
  readonly address: number;
  /** Bytes of the access; 0 for mistakes that are none. */
  readonly size: number;
  readonly write: boolean;
  /** Calls that led here, the innermost first. */
  readonly stack: readonly Frame[];
  readonly block?: ReportBlock | undefined;
  /** How the address lies to the block. */
  readonly where?: string | undefined;
  /** How often it was seen, or how many blocks leaked there. */
  count: number;
}

export function frameText(frame: Frame): string {
  if (frame.file === undefined) return frame.function;
  const column = frame.column ? `:${frame.column}` : "";
  return `${frame.function} (${frame.file}:${frame.line}${column})`;
}

function stackLines(title: string, frames: readonly Frame[]): string[] {
  if (frames.length === 0) return [];
  return [`  ${title}`, ...frames.map((frame) => `    at ${frameText(frame)}`)];
}

/** A report as lines of text; the first begins with the kind. */
export function formatReport(report: Report): string {
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

/** "write of 4 bytes at 0x20000034". */
export function accessText(write: boolean, size: number, address: number): string {
  return `${write ? "write" : "read"} of ${bytesText(size)} at ${hex(address)}`;
}
