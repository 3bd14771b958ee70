/** Statistics as mimalloc prints them: specification 17. */
import type { CountOf } from "./tally.ts";

/**
 * How an amount is written: `n` times a unit of so many bytes, or a plain number (0), or one whose
 * bytes need no B (negative). Magnitudes are cut as mimalloc cuts them: 1048575 bytes are
 * 1028.0 KiB, and one byte is nothing at all.
 */
export function amountText(n: number, unit: number): string {
  const suffix = unit > 0 ? "B" : " ";
  const base = unit === 0 ? 1000 : 1024;
  const value = unit > 0 ? n * unit : n;
  const size = Math.abs(value);
  if (size < base) {
    if (value === 1 && unit > 0) return "";
    return `${Math.trunc(value)}   ${(value === 0 ? "" : suffix).padEnd(3)}`;
  }
  const power = size >= base ** 3 ? 3 : size >= base ** 2 ? 2 : 1;
  const tens = Math.trunc(value / Math.trunc(base ** power / 10));
  const magnitude = `${"KMG"[power - 1]}${base === 1024 ? "i" : ""}${suffix}`;
  return `${Math.trunc(tens / 10)}.${Math.abs(tens % 10)} ${magnitude.padEnd(3)}`;
}

function cell(n: number, unit: number): string {
  return amountText(n, unit).padStart(12);
}

function label(name: string): string {
  return `${name.padStart(10)}:`;
}

export function headerLine(): string {
  const columns = ["peak", "total", "freed", "current", "unit", "count"];
  return label("heap stats") + columns.map((name) => ` ${`${name}   `.padStart(11)}`).join("");
}

/**
 * A row of numbers over time. `unit`: of how many bytes each is one (then the row says how many
 * there were), or the negative average of what is counted in bytes, or -1 for plain numbers.
 */
export function countLine(name: string, stat: CountOf, unit: number, note?: string): string {
  const amount = unit > 0 ? unit : -1;
  const numbers = [stat.peak, stat.total, stat.freed, stat.current];
  const cells = numbers.map((n) => cell(n, amount)).join("");
  return label(name) + cells + unitCells(stat, unit) + noteText(stat, unit, note);
}

function unitCells(stat: CountOf, unit: number): string {
  if (unit === -1) return " ".repeat(24);
  const count = unit > 0 ? stat.total : Math.trunc(stat.total / -unit);
  return cell(Math.abs(unit), 1) + (unit === 1 ? " ".repeat(12) : cell(count, 0));
}

function noteText(stat: CountOf, unit: number, note: string | undefined): string {
  if (stat.total <= stat.freed) return "  ok";
  return `  ${note ?? (unit > 0 ? "not all freed" : "not all freed!")}`;
}

/** A row that only has a number of bytes. */
export function bytesLine(name: string, bytes: number): string {
  return label(name) + cell(bytes, 1);
}

/** A row that only has a number. */
export function numberLine(name: string, n: number): string {
  return label(name) + cell(n, -1);
}

/** How many of something came on one of another. */
export function averageLine(name: string, total: number, count: number): string {
  const tens = count === 0 ? 0 : Math.trunc((total * 10) / count);
  return `${label(name)} ${String(Math.trunc(tens / 10)).padStart(5)}.${tens % 10} avg`;
}

/** Milliseconds as seconds. */
export function secondsText(ms: number): string {
  const whole = Math.max(0, Math.trunc(ms));
  return `${Math.trunc(whole / 1000)}.${String(whole % 1000).padStart(3, "0")} s`;
}

export function elapsedLine(ms: number): string {
  return `${label("elapsed")} ${secondsText(ms).padStart(11)}`;
}
