/** What is told of a mistake: for people, for machines, and as an error. */
import { MemoryError } from "../../common/errors.ts";
import { positionText, type SourcePosition, sourceLineOf, sourcePositionOf } from "./frames.ts";
import { nodeProcess } from "./node.ts";
import type { Frame } from "./stack-table.ts";

export type MistakeCode =
  | "ERR_LEAK"
  | "ERR_DOUBLE_FREE"
  | "ERR_USE_AFTER_FREE"
  | "ERR_INVALID_FREE"
  | "ERR_INTERIOR_POINTER"
  | "ERR_SIZE_MISMATCH"
  | "ERR_ALIGNMENT_MISMATCH"
  | "ERR_OUT_OF_BOUNDS"
  | "ERR_WRITE_PAST_END"
  | "ERR_WRITE_BEFORE_START"
  | "ERR_WRITE_AFTER_FREE"
  | "ERR_WRONG_THREAD"
  | "ERR_MEMORY_LIMIT"
  | "ERR_FORGOTTEN_HANDLE";

/** A stack of a report, with what it is the stack of. */
export interface ReportStack {
  readonly title: string;
  /** Innermost first. */
  readonly frames: readonly Frame[];
}

/** A report as JSON. */
export interface ReportJson {
  code: MistakeCode;
  message: string;
  ptr: number;
  size: number;
  stacks: { title: string; frames: SourcePosition[] }[];
}

/** Only leaks have so many: a program without any free must not fill the screen. */
const STACKS_SHOWN = 20;

const RED = "\u001b[31;1m";
const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const PLAIN = "\u001b[0m";

/**
 * One mistake. Source maps and lines of source are looked up when it is turned into text or JSON,
 * not before.
 */
export class Report {
  readonly code: MistakeCode;
  /** One line, without stacks. */
  readonly message: string;
  /** The pointer that it is about: the first block of a leak; 0 where there is none. */
  readonly ptr: number;
  /** Bytes that it is about: of the block, of all leaked blocks, of the request. */
  readonly size: number;
  readonly stacks: readonly ReportStack[];

  constructor(
    code: MistakeCode,
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

  /** The report for people, with colours if wanted. No line break at the end. */
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

  toString(): string {
    return this.format();
  }

  toJSON(): ReportJson {
    const { code, message, ptr, size } = this;
    const stacks = this.stacks.map(({ title, frames }) => ({
      title,
      frames: frames.map(sourcePositionOf),
    }));
    return { code, message, ptr, size, stacks };
  }
}

/** The first frame also shows its line of source, with a mark under the column. */
function framesLines(
  frames: readonly Frame[],
  paint: (colour: string, text: string) => string,
): string[] {
  if (frames.length === 0) return ["    (no stack was taken)"];
  return frames.flatMap((frame, index) => {
    const place = sourcePositionOf(frame);
    const line = `    ${paint(index === 0 ? PLAIN : DIM, positionText(place))}`;
    return index === 0 ? [line, ...sourceLines(place)] : [line];
  });
}

function sourceLines(place: SourcePosition): string[] {
  const source = sourceLineOf(place);
  if (source === undefined || source.length > 200) return [];
  const indent = source.length - source.trimStart().length;
  const mark = " ".repeat(Math.max(0, place.column - 1 - indent));
  return [`      ${source.trim()}`, `      ${mark}^`];
}

/**
 * A mistake as an error. The allocator was right before the call and is right after it: what could
 * be done of the call is done.
 */
export class MemoryMistake extends MemoryError<MistakeCode> {
  override readonly name = "MemoryMistake";
  readonly report: Report;
  /** What else the same call has found. */
  readonly others: readonly Report[];

  constructor(report: Report, others: readonly Report[] = []) {
    const text = [report, ...others].map((each) => each.format()).join("\n");
    super(report.code, report.ptr, text);
    this.report = report;
    this.others = others;
  }
}

/** Prints a report to stderr; in colours on a terminal, unless NO_COLOR is set. */
function printReport(report: Report): void {
  const process = nodeProcess();
  const colours = process?.stderr?.isTTY === true && !process.env.NO_COLOR;
  console.error(report.format({ colours }));
}

/** What becomes of reports: printed, thrown, or handed to a function. */
export type ReportSink = "print" | "throw" | ((report: Report) => void);

export function sendReports(sink: ReportSink, reports: readonly Report[]): void {
  const [first, ...others] = reports;
  if (first === undefined) return;
  if (sink === "throw") throw new MemoryMistake(first, others);
  for (const report of reports) (sink === "print" ? printReport : sink)(report);
}

/** sendReports where nobody could catch: at the exit of the process, after a collection. */
export function sendReportsUncaught(sink: ReportSink, reports: readonly Report[]): void {
  sendReports(sink === "throw" ? "print" : sink, reports);
}
