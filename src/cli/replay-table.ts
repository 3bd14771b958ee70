/** Results as a table. */
import { basename } from "node:path";
import { styleText } from "node:util";
import Table from "cli-table3";
import type { ReplayResult } from "../trace/replay.ts";

/** The allocator that others are compared with. */
const OURS = "terrane";
const MIB = 1 << 20;

const HEAD = [
  "trace",
  "allocator",
  "Mops/s",
  "vs terrane",
  "peak MiB",
  "live MiB",
  "fragmentation",
];
const NOTE = `Mops/s: millions of trace operations a second; more is better.
peak: memory that was ever part of a block (in granules of 4 KiB) and the allocator's own state;
      of uint8array, what its live blocks hold at the peak. fragmentation: peak / live bytes.`;

/** Whether standard output is a terminal with colours, and NO_COLOR is not set. */
export function colourIsWanted(): boolean {
  return process.stdout.isTTY === true && process.stdout.hasColors();
}

/** Formats results as a table. @param colour whether to use colours of a terminal. */
export function formatTable(results: readonly ReplayResult[], colour: boolean): string {
  const paint = (style: "bold" | "cyan" | "dim") => (text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const [bold, cyan, dim] = [paint("bold"), paint("cyan"), paint("dim")];
  const table = new Table({
    head: HEAD.map((title) => bold(title)),
    colAligns: ["left", "left", "right", "right", "right", "right", "right"],
    // Its own colours ignore NO_COLOR.
    style: { head: [], border: [], compact: true },
  });
  for (const result of results) {
    const row = rowCells(result, results);
    table.push(result.allocator.startsWith(OURS) ? row.map((cell) => cyan(cell)) : row);
  }
  return `${table.toString()}\n${dim(NOTE)}\n`;
}

function rowCells(result: ReplayResult, all: readonly ReplayResult[]): string[] {
  const ours = all.find(({ trace, allocator }) => trace === result.trace && allocator === OURS);
  return [
    traceTitle(result.trace),
    allocatorTitle(result),
    (result.opsPerSecond / 1e6).toFixed(2),
    ours === undefined ? "-" : `${(result.opsPerSecond / ours.opsPerSecond).toFixed(2)}x`,
    (result.peakBytes / MIB).toFixed(2),
    (result.peakLiveBytes / MIB).toFixed(2),
    result.fragmentation.toFixed(2),
  ];
}

function allocatorTitle({ allocator, threads }: ReplayResult): string {
  if (threads === undefined) return allocator;
  return `${allocator}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** The name of a trace: its file without folder and endings. */
export function traceTitle(file: string): string {
  return basename(file)
    .replace(/\.gz$/, "")
    .replace(/(.)\.trace$/, "$1");
}
