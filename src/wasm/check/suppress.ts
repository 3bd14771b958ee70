/** Suppressions: mistakes that the user knows of and does not want to hear about. */

import type { Frame } from "../symbols/frame.ts";
import { kinds, type Report } from "./report.ts";

export interface Suppression {
  /** A kind of mistake, or * for all. */
  readonly kind: string;
  /** What the name of a function or a file on one of the stacks must match. */
  readonly pattern: RegExp;
  readonly line: number;
}

/**
 * Reads suppressions: one a line, `KIND:PATTERN`. The kind may be *, the pattern is of a function's
 * name or a file's path, with * for any text. Empty lines and lines after # do not count.
 *
 * @throws RangeError for a line of another form or an unknown kind, with its number.
 * @example
 * readSuppressions("leak:sqlite3*\n*:third_party/*");
 */
export function readSuppressions(text: string): Suppression[] {
  const found: Suppression[] = [];
  text.split("\n").forEach((whole, i) => {
    const line = whole.replace(/#.*/, "").trim();
    if (line === "") return;
    const [kind, pattern] = splitAt(line, line.indexOf(":"));
    if (pattern === "") throw new RangeError(`line ${i + 1}: not of the form KIND:PATTERN`);
    if (kind !== "*" && !Object.hasOwn(kinds, kind)) {
      throw new RangeError(`line ${i + 1}: unknown kind "${kind}"`);
    }
    found.push({ kind, pattern: globOf(pattern), line: i + 1 });
  });
  return found;
}

function splitAt(line: string, colon: number): [string, string] {
  return colon < 0 ? [line, ""] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

function globOf(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  return new RegExp(`^(?:.*/)?${escaped}$`);
}

/** Whether one of the suppressions covers a report. */
export function isSuppressed(suppressions: readonly Suppression[], report: Report): boolean {
  const { stack, block } = report;
  const frames = [...stack, ...(block?.allocated ?? []), ...(block?.freed ?? [])];
  return suppressions.some(
    ({ kind, pattern }) =>
      (kind === "*" || kind === report.kind) && frames.some((frame) => frameFits(frame, pattern)),
  );
}

function frameFits(frame: Frame, pattern: RegExp): boolean {
  return pattern.test(frame.function) || (frame.file !== undefined && pattern.test(frame.file));
}
