/** What only a benchmark of threads tells: how throughput grows with the Workers, and its aims. */
import { grid, type Scope, tables } from "./report.ts";
import type { Results } from "./results.ts";

/** The allocator, if it can be called one, that runs the machine's own workloads. */
export const MACHINE = "cycle";

export function modeOf(workers: number): string {
  return `${workers} Worker${workers === 1 ? "" : "s"}`;
}

function ns(results: Results, workers: number, workload: string, allocator: string): number {
  const cell = results.cell(modeOf(workers), workload, allocator);
  return (cell && results.figures(cell)?.medianNs) ?? Number.NaN;
}

function times(value: number): string {
  return Number.isNaN(value) ? "-" : value.toFixed(2);
}

interface ThreadScope extends Omit<Scope, "mode"> {
  readonly workers: readonly number[];
}

/** Throughput of each number of Workers against one's. */
function scaling({ results, workloads, allocators }: ThreadScope, workers: number): string {
  const gain = (workload: string, allocator: string) =>
    times(ns(results, 1, workload, allocator) / ns(results, workers, workload, allocator));
  const rows = workloads.map((workload) => [
    workload,
    ...allocators.map((allocator) => gain(workload, allocator)),
  ]);
  const title = `## throughput of ${modeOf(workers)} against one's`;
  return `${title}\n\n${grid([["", ...allocators], ...rows])}\n`;
}

/** Pairs a second of all Workers together: handed over, against allocated and freed by the same. */
function handover({ results, allocators, workers }: ThreadScope): string {
  const share = (count: number, allocator: string) =>
    times(ns(results, count, "fifo", allocator) / ns(results, count, "produce_consume", allocator));
  const rows = workers.map((count) => [
    modeOf(count),
    ...allocators.map((allocator) => share(count, allocator)),
  ]);
  return `## throughput of produce_consume against fifo\n\n${grid([["", ...allocators], ...rows])}\n`;
}

function machineLine(results: Results, workers: number): string {
  const gain = ns(results, 1, "compute", MACHINE) / ns(results, workers, "compute", MACHINE);
  const hop = ns(results, workers, "handover", MACHINE);
  const work = `${modeOf(workers)} of pure computation do ${times(gain)} times the work of one`;
  return `machine: ${work}; a word goes from one to the next in ${times(hop)} ns`;
}

export function threadTables(scope: ThreadScope): string {
  const { results, workers } = scope;
  const many = workers.includes(1) ? workers.filter((count) => count > 1) : [];
  return [
    ...workers.map((count) => tables({ ...scope, mode: modeOf(count) })),
    ...many.map((count) => scaling(scope, count)),
    handover(scope),
    ...many.map((count) => machineLine(results, count)),
  ].join("\n");
}
