/** Tables for people, CSV for the record. */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { SEED } from "./catalogue.ts";
import type { Figures, Results } from "./results.ts";

export function engine(): string {
  return `node ${process.versions.node}, v8 ${process.versions.v8}`;
}

export function machine(): string {
  const all = cpus();
  return `${all[0]?.model.trim() ?? "unknown"}, ${all.length} cores`;
}

/** Columns side by side, the first one to the left. */
export function grid(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const pad = (text: string, column: number) => {
    const width = widths[column] ?? 0;
    return column === 0 ? text.padEnd(width) : text.padStart(width);
  };
  return rows.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}

type Show = (figures: Figures) => string;

const showTime: Show = (f) => `${f.medianNs.toFixed(1)} ±${(f.spread * 100).toFixed(0)}%`;
const showRatio: Show = (f) => (f.ratio === undefined ? "-" : f.ratio.toFixed(2));
const showMemory: Show = (f) => (f.memoryBytes / 2 ** 20).toFixed(1);

export interface Scope {
  readonly results: Results;
  readonly mode: string;
  readonly allocators: readonly string[];
  readonly workloads: readonly string[];
}

function rowsOf({ results, mode, allocators, workloads }: Scope, show: Show): string[][] {
  const entry = (workload: string, allocator: string) => {
    const cell = results.cell(mode, workload, allocator);
    if (!cell) return "-";
    const figures = results.figures(cell);
    return figures ? show(figures) : "failed";
  };
  const row = (workload: string) => [workload, ...allocators.map((a) => entry(workload, a))];
  return [["", ...allocators], ...workloads.map(row)];
}

function meanRow({ results, mode, allocators }: Scope): string[] {
  const entry = (allocator: string) => {
    const found = results.meanRatio(mode, allocator);
    return found ? `${found.mean.toFixed(2)} (${found.count})` : "-";
  };
  return ["geometric mean (of)", ...allocators.map(entry)];
}

export function tables(scope: Scope): string {
  return [
    `## ${scope.mode}, ${engine()}, ${machine()}`,
    "\nns per operation: median, interquartile range",
    grid(rowsOf(scope, showTime)),
    `\ntime relative to ${scope.results.reference}`,
    grid([...rowsOf(scope, showRatio), meanRow(scope)]),
    "\nlinear memory at the end, MiB",
    grid(rowsOf(scope, showMemory)),
    "",
  ].join("\n");
}

const COLUMNS: readonly [string, (figures: Figures) => string | number][] = [
  ["mode", (f) => f.mode],
  ["workload", (f) => f.workload],
  ["allocator", (f) => f.allocator],
  ["median_ns", (f) => f.medianNs.toFixed(2)],
  ["iqr_share", (f) => f.spread.toFixed(4)],
  ["ratio", (f) => f.ratio?.toFixed(4) ?? ""],
  ["memory_bytes", (f) => f.memoryBytes],
  ["rounds", (f) => f.rounds],
  ["checksum", (f) => f.checksum ?? ""],
];

export function csv(figures: readonly Figures[], date: Date, reference: string): string {
  const header = [
    `# machine: ${machine()}`,
    `# engine: ${engine()}`,
    `# date: ${date.toISOString()}`,
    `# seed: ${SEED}`,
    COLUMNS.map(([name]) => (name === "ratio" ? `ratio_to_${reference}` : name)).join(","),
  ];
  const rows = figures.map((row) => COLUMNS.map(([, value]) => value(row)).join(","));
  return `${[...header, ...rows].join("\n")}\n`;
}

export function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
