/** What is reported of a mistake: as text, as JSON and as an error. */
import { MemoryError } from "../../common/errors.ts";
import type { MistakeCode } from "../../common/mistakes.ts";
import { positionText, type SourcePosition, sourceLineOf, sourcePositionOf } from "./frames.ts";
import { nodeProcess } from "./node.ts";
import type { Frame } from "./stack-table.ts";

/** The codes of the mistakes that the debug allocator and guarded blocks find. */
export type ReportCode = Extract<
  MistakeCode,
  | "ERR_ALIGNMENT_MISMATCH"
  | "ERR_DOUBLE_FREE"
  | "ERR_FORGOTTEN_HANDLE"
  | "ERR_HEAP_DAMAGED"
  | "ERR_HEAP_OVERFLOW"
  | "ERR_HEAP_UNDERFLOW"
  | "ERR_INTERIOR_POINTER"
  | "ERR_LEAK"
  | "ERR_MEMORY_LIMIT"
  | "ERR_NOT_A_BLOCK"
  | "ERR_OUT_OF_BOUNDS"
  | "ERR_REALLOC_AFTER_FREE"
  | "ERR_SIZE_MISMATCH"
  | "ERR_USE_AFTER_FREE"
  | "ERR_WILD_ACCESS"
  | "ERR_WRITE_AFTER_FREE"
  | "ERR_WRONG_THREAD"
>;

/** A call stack in a report. */
export interface ReportStack {
  /** What happened there, such as "allocated" or "freed first". */
  readonly title: string;
  /** Innermost first; empty if no stack was taken. */
  readonly frames: readonly Frame[];
}

/** A report as JSON. */
export interface ReportJson {
  /** The kind of mistake. */
  code: ReportCode;
  /** One line, without stacks. */
  message: string;
  /** The pointer that the report is about, or 0. */
  ptr: number;
  /** Bytes that the report is about, or 0. */
  size: number;
  /** The stacks with source maps applied, each innermost frame first. */
  stacks: { title: string; frames: SourcePosition[] }[];
}

/** The most stacks in a text. Only a report of leaks has more. */
const STACKS_SHOWN = 20;

const RED = "\u001b[31;1m";
const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const PLAIN = "\u001b[0m";

/**
 * A report of one mistake. Source maps and lines of source are read when it is turned into text or
 * JSON, not before.
 *
 * @example
 * const heap = debug(createHeap(), { onReport: (report) => log(report.code, String(report)) });
 */
export class Report {
  /** The kind of mistake. */
  readonly code: ReportCode;
  /** One line, without stacks. */
  readonly message: string;
  /** The pointer that the report is about: of leaks the first block's; 0 if there is none. */
  readonly ptr: number;
  /** Bytes: of the block, of all leaked blocks, or of the request; 0 if there are none. */
  readonly size: number;
  /** The stacks of what happened to the block, in order of time; the last found the mistake. */
  readonly stacks: readonly ReportStack[];

  /** Made by the allocators; a reporter of a test runner makes one from what it was sent. */
  constructor(
    code: ReportCode,
    message: string,
    ptr: number,
    size: number,
    stacks: readonly ReportStack[],
  ) {
    this.code = code;
    this.message = message;
    this.ptr = ptr;
    this.size = size;
    this.stacks = stacks;
  }

  /**
   * Returns the report as text of several lines, without a line break at the end. With `colours` it
   * has ANSI colours.
   */
  format(options: { colours?: boolean } = {}): string {
    const paint = options.colours
      ? (colour: string, text: string) => `${colour}${text}${PLAIN}`
      : (_: string, text: string) => text;
    const lines = [paint(RED, this.message)];
    for (const { title, frames } of this.stacks.slice(0, STACKS_SHOWN)) {
      lines.push(`  ${paint(BOLD, title)}:`, ...framesLines(frames, paint));
    }
    const more = this.stacks.length - STACKS_SHOWN;
    if (more > 0) lines.push(`  … and ${more} more; as JSON the report has all`);
    return lines.join("\n");
  }

  /** Returns the text without colours, as `format` does. */
  toString(): string {
    return this.format();
  }

  /** Returns what JSON.stringify writes: plain values, with all stacks. */
  toJSON(): ReportJson {
    const { code, message, ptr, size } = this;
    const stacks = this.stacks.map(({ title, frames }) => ({
      title,
      frames: frames.map(sourcePositionOf),
    }));
    return { code, message, ptr, size, stacks };
  }
}

/** The innermost frame also shows its line of source, with a mark under the column. */
function framesLines(
  frames: readonly Frame[],
  paint: (colour: string, text: string) => string,
): string[] {
  if (frames.length === 0) return ["    (no stack was taken)"];
  return frames.flatMap((frame, index) => {
    const position = sourcePositionOf(frame);
    const line = `    ${paint(index === 0 ? PLAIN : DIM, positionText(position))}`;
    return index === 0 ? [line, ...sourceLines(position)] : [line];
  });
}

function sourceLines(position: SourcePosition): string[] {
  const source = sourceLineOf(position);
  if (source === undefined || source.length > 200) return [];
  const indent = source.length - source.trimStart().length;
  const mark = " ".repeat(Math.max(0, position.column - 1 - indent));
  return [`      ${source.trim()}`, `      ${mark}^`];
}

/**
 * A mistake as an error, thrown with `onReport: "throw"` and by `expectNoLeaks`. It is thrown when
 * the work of the call is done, so the allocator can still be used.
 *
 * @example
 * try {
 *   heap.free(ptr);
 * } catch (error) {
 *   if (!(error instanceof MemoryMistake)) throw error;
 *   console.log(error.code, error.report.message);
 * }
 */
export class MemoryMistake extends MemoryError<ReportCode> {
  /** Always "MemoryMistake". */
  override readonly name = "MemoryMistake";
  /** The first mistake that the call found; `code` and `ptr` are of it. */
  readonly report: Report;
  /** The other mistakes that the same call found. */
  readonly others: readonly Report[];
  /**
   * All of them as plain values, with source maps applied: a test runner sends the error to another
   * process, which has no maps of code that was compiled on the way (tsx, ts-node).
   */
  readonly reports: readonly ReportJson[];

  /** The message is the text of all reports. */
  constructor(report: Report, others: readonly Report[] = []) {
    const text = [report, ...others].map((each) => each.format()).join("\n");
    super(report.code, report.ptr, text);
    this.report = report;
    this.others = others;
    this.reports = [report, ...others].map((each) => each.toJSON());
  }
}

/** Prints to stderr; in colours on a terminal, unless NO_COLOR is set. */
function printReport(report: Report): void {
  const process = nodeProcess();
  const colours = process?.stderr?.isTTY === true && !process.env.NO_COLOR;
  console.error(report.format({ colours }));
}

/**
 * What happens to reports: `"print"` writes text to stderr, `"throw"` throws a MemoryMistake, a
 * function is called with each.
 */
export type ReportSink = "print" | "throw" | ((report: Report) => void);

/** @throws MemoryMistake if the sink is "throw" and there is a report. */
export function sendReports(sink: ReportSink, reports: readonly Report[]): void {
  const [first, ...others] = reports;
  if (first === undefined) return;
  if (sink === "throw") throw new MemoryMistake(first, others);
  for (const report of reports) (sink === "print" ? printReport : sink)(report);
}

/** sendReports where no caller can catch: at the exit of the process, after a collection. */
export function sendReportsUncaught(sink: ReportSink, reports: readonly Report[]): void {
  sendReports(sink === "throw" ? "print" : sink, reports);
}
