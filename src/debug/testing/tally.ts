/** What the reporters of test runners share: reports found in errors, and their counts. */
import { nodeProcess } from "../report/node.ts";
import { Report, type ReportCode } from "../report/report.ts";
import type { Frame } from "../report/stack-table.ts";

/** A report as a test runner sends it between processes: without methods. */
interface SentReport {
  code: ReportCode;
  message: string;
  ptr: number;
  size: number;
  stacks: { title: string; frames: SentFrame[] }[];
}

/** A frame as node:test sends it, with `url`, or as JSON of vitest, with `file`. */
interface SentFrame {
  call: string;
  url?: string;
  file?: string;
  line: number;
  column: number;
}

interface SentError {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  ptr?: unknown;
  /** Of a LayerError: the blocks that leaked. */
  leaks?: { size: number }[];
  /** With source maps applied. */
  reports?: SentReport[];
  cause?: unknown;
  report?: SentReport;
  others?: SentReport[];
}

/** Maps a frame to its source, for a runner that transforms code before it runs it. */
type FrameMap = (frame: Frame) => Frame;

/**
 * The reports of a MemoryMistake or of a LayerError, which regions throw, also of one that is the
 * cause of another error.
 */
export function reportsOf(error: unknown, map: FrameMap = (frame) => frame): Report[] {
  for (let each = error as SentError | undefined; each; each = each.cause as SentError) {
    if (each.name === "LayerError") return [layerReport(each)];
    if (each.name !== "MemoryMistake" || !each.report) continue;
    const sent = each.reports ?? [each.report, ...(each.others ?? [])];
    return sent.map((report) => revive(report, map));
  }
  return [];
}

/** Its text has the stacks. */
function layerReport({ code, message, ptr, leaks = [] }: SentError): Report {
  const bytes = leaks.reduce((sum, { size }) => sum + size, 0);
  return new Report(code as ReportCode, String(message), Number(ptr ?? 0), bytes, []);
}

function revive({ code, message, ptr, size, stacks }: SentReport, map: FrameMap): Report {
  const reportStacks = stacks.map(({ title, frames }) => ({
    title,
    frames: frames.map(({ url, file, ...rest }) => map({ ...rest, url: url ?? file ?? "" })),
  }));
  return new Report(code, message, ptr, size, reportStacks);
}

/** Counts mistakes over a run of tests. */
export class Tally {
  readonly #counts = new Map<ReportCode, number>();
  #tests = 0;

  /** Counts the reports of a test that failed, and returns their text; empty if there are none. */
  failed(test: string, reports: readonly Report[]): string {
    if (reports.length === 0) return "";
    this.#tests++;
    for (const { code } of reports) this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    const colours = wantsColours();
    const texts = reports.map((report) => report.format({ colours }).replace(/^/gm, "  "));
    return `${test}\n${texts.join("\n")}\n\n`;
  }

  /** One line for the end of the run. */
  summary(): string {
    if (this.#tests === 0) return "memory: no mistakes\n";
    const counts = [...this.#counts].map(([code, count]) => `${count} ${code}`);
    const tests = this.#tests === 1 ? "1 test" : `${this.#tests} tests`;
    return `memory: mistakes in ${tests}: ${counts.join(", ")}\n`;
  }
}

function wantsColours(): boolean {
  const process = nodeProcess();
  return process?.stdout?.isTTY === true && !process.env.NO_COLOR;
}
