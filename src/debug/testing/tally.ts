/** What the reporters of test runners share: mistakes out of errors, and a last word on them. */
import { nodeProcess } from "../report/node.ts";
import { type MistakeCode, Report } from "../report/report.ts";
import type { Frame } from "../report/stack-table.ts";

/** A report as it comes through a test runner's own way of sending errors: without methods. */
interface Sent {
  code: MistakeCode;
  message: string;
  ptr: number;
  size: number;
  stacks: { title: string; frames: SentFrame[] }[];
}

/** A frame as it is (node:test), or as JSON (vitest). */
interface SentFrame {
  call: string;
  url?: string;
  file?: string;
  line: number;
  column: number;
}

interface SentError {
  name?: unknown;
  cause?: unknown;
  report?: Sent;
  others?: Sent[];
}

/** Where a frame really is, for a runner that changes code before it runs it. */
type FrameMap = (frame: Frame) => Frame;

/** The reports of a MemoryMistake, also of one that another error has as its cause. */
export function reportsOf(error: unknown, map: FrameMap = (frame) => frame): Report[] {
  for (let each = error as SentError | undefined; each; each = each.cause as SentError) {
    if (each.name !== "MemoryMistake" || !each.report) continue;
    return [each.report, ...(each.others ?? [])].map((sent) => revive(sent, map));
  }
  return [];
}

function revive({ code, message, ptr, size, stacks }: Sent, map: FrameMap): Report {
  const reportStacks = stacks.map(({ title, frames }) => ({
    title,
    frames: frames.map(({ url, file, ...rest }) => map({ ...rest, url: url ?? file ?? "" })),
  }));
  return new Report(code, message, ptr, size, reportStacks);
}

/** Counts mistakes over a run of tests. */
export class Tally {
  readonly #counts = new Map<MistakeCode, number>();
  #tests = 0;

  /** The text for a test that failed; empty if not for a mistake with memory. */
  failed(test: string, reports: readonly Report[]): string {
    if (reports.length === 0) return "";
    this.#tests++;
    for (const { code } of reports) this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    const colours = coloursWanted();
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

function coloursWanted(): boolean {
  const process = nodeProcess();
  return process?.stdout?.isTTY === true && !process.env.NO_COLOR;
}
