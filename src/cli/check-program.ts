/** What `terrane check` does: runs a program under the checker, and prints what was found. */
import type { Command } from "commander";
import type { LeakReports } from "../wasm/check/checker.ts";
import { bytesText, formatReport, frameText, type Report } from "../wasm/check/report.ts";
import { endingCode } from "./ending.ts";
import { type EndingSignal, EXIT_FOUND, EXIT_TRAP, SIGNALS } from "./exit-codes.ts";
import type { CheckFlags, CheckResult } from "./orders.ts";
import { OutputError, STDERR, STDOUT, streamWrite } from "./output.ts";
import { threadRun } from "./thread.ts";

/** What was found, and how it ended. */
interface Outcome extends CheckResult {
  readonly reports: readonly Report[];
  readonly notes: readonly string[];
  /** The signal that has ended the command itself. */
  readonly interrupted?: EndingSignal;
}

/** Runs a program under the checker; returns the exit code. */
export async function checkProgram(
  path: string,
  args: readonly string[],
  flags: CheckFlags,
  command: Command,
): Promise<number> {
  const reports: Report[] = [];
  const notes: string[] = [];
  const order = { command: "check", path, args, flags } as const;
  const end = await threadRun(
    order,
    (found) => reports.push(found),
    (text) => notes.push(text),
  );
  if (end.kind === "usage") return command.error(`error: ${end.text}`);
  if (end.kind === "ended") countsSet(reports, end.result as CheckResult);
  const outcome: Outcome = { reports, notes, ...resultOf(end) };
  if (flags.json) streamWrite(STDOUT, jsonText(path, outcome));
  else streamWrite(STDERR, summaryText(outcome));
  if (end.kind === "failed") throw new Error(`${path}: ${end.text}`);
  if (outcome.unwritten !== undefined) throw new OutputError(outcome.unwritten);
  return exitCodeOf(outcome);
}

function countsSet(reports: readonly Report[], { counts }: CheckResult): void {
  reports.forEach((report, i) => {
    report.count = counts?.[i] ?? report.count;
  });
}

function resultOf(end: Exclude<Awaited<ReturnType<typeof threadRun>>, { kind: "usage" }>) {
  if (end.kind === "ended") return end.result as CheckResult;
  return end.kind === "signal" ? { interrupted: end.signal } : {};
}

/** A program that did not end by itself has the code of its end, whatever was found before. */
function exitCodeOf(outcome: Outcome): number {
  const { code, trap, signal, interrupted, reports, leaks } = outcome;
  if (interrupted) return SIGNALS[interrupted];
  if (trap) return EXIT_TRAP;
  if (signal !== undefined) return endingCode({ signal });
  const real = leaks?.reports.filter((report) => report.kind !== "possible-leak") ?? [];
  if (reports.length > 0 || real.length > 0) return EXIT_FOUND;
  return endingCode(code === undefined ? {} : { code });
}

function summaryText(outcome: Outcome): string {
  const { trap, signal, leaks, interrupted } = outcome;
  const lines: string[] = [];
  if (trap) lines.push(...trapLines(trap), "");
  if (signal !== undefined) lines.push(`signal: the program raised ${signal}`, "");
  for (const report of leaks?.reports ?? []) lines.push(formatReport(report), "");
  lines.push(...outcome.notes.map((text) => `note: ${text}`));
  const end = interrupted ? `, ended by ${interrupted}` : "";
  lines.push(`terrane check: ${countsText(outcome)}${end}`);
  return `${lines.join("\n")}\n`;
}

/** The position in the file is of use where no line is known. */
function trapLines({ text, offset, stack }: NonNullable<CheckResult["trap"]>): string[] {
  const isKnown = offset === undefined || stack[0]?.file !== undefined;
  const where = isKnown ? "" : ` at byte 0x${offset.toString(16)} of the file`;
  return [`trap: ${text}${where}`, ...stack.map((frame) => `    at ${frameText(frame)}`)];
}

function countsText({ reports, leaks }: Outcome): string {
  const many = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
  const parts = [reports.length === 0 ? "no mistakes" : many(reports.length, "mistake")];
  if (!leaks) return parts.join();
  const [count, size] = leakSum(leaks, ["leak", "indirect-leak"]);
  const [possible, possibleSize] = leakSum(leaks, ["possible-leak"]);
  if (count === 0) parts.push("no leaks");
  else parts.push(`${many(count, "block")} of ${bytesText(size)} leaked`);
  if (possible > 0) {
    parts.push(`${many(possible, "block")} of ${bytesText(possibleSize)} possibly leaked`);
  }
  const { blocks: held, bytes } = leaks.reachable;
  if (held > 0) parts.push(`${many(held, "block")} of ${bytesText(bytes)} still reachable`);
  return parts.join(", ");
}

function jsonText(path: string, outcome: Outcome): string {
  const { trap, signal, interrupted, leaks } = outcome;
  const by = interrupted ?? signal;
  const result = {
    program: path,
    exitCode: outcome.code ?? null,
    trap: trap === undefined ? null : `trap: ${trap.text}`,
    ...(trap && { trapOffset: trap.offset ?? null, trapStack: trap.stack }),
    ...(by !== undefined && { signal: by }),
    ...(outcome.notes.length > 0 && { notes: outcome.notes }),
    reports: outcome.reports,
    leaks: leaks?.reports ?? [],
    reachable: leaks?.reachable ?? null,
  };
  return `${JSON.stringify(result, null, 2)}\n`;
}

/** How many blocks leaked, and how many bytes. */
function leakSum(leaks: LeakReports, kinds: readonly string[]): [number, number] {
  const reports = leaks.reports.filter((report) => kinds.includes(report.kind));
  const sum = (field: "count" | "size") => reports.reduce((total, each) => total + each[field], 0);
  return [sum("count"), sum("size")];
}
