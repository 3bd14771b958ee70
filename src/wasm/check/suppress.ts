/** Suppressions: mistakes that the user knows and does not want reported. */

import { wrongKind } from "../../common/errors.ts";
import type { Frame } from "../symbols/frame.ts";
import { kinds, type Report } from "./report.ts";

/** A rule that suppresses reports; see `readSuppressions`. */
export interface Suppression {
  /** A kind of mistake, or * for all. */
  readonly kind: string;
  /** Matches the name of a function, or a file, on one of the stacks of a report. */
  readonly pattern: RegExp;
  /** Its line in the text, from 1. */
  readonly line: number;
}

/**
 * Reads suppressions: one a line, `KIND:PATTERN`. The kind is one of `kinds`, or * for all. The
 * pattern is compared with names of functions and paths of files, where * stands for any text.
 * Empty lines are ignored, and so is the text after a #.
 *
 * @throws RangeError with the number of the line, if it has another form or an unknown kind.
 * @example
 * readSuppressions("leak:sqlite3*\n*:third_party/*");
 */
export function readSuppressions(text: string): Suppression[] {
  if (typeof text !== "string") throw wrongKind("text", "a string", text);
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

/** Whether one of the suppressions applies to a report. */
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
