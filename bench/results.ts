/** What the children measured, gathered by mode, workload and allocator. */
import type { Answer, Task } from "./serve.ts";
import { geometricMean, median, spread } from "./stats.ts";

/** One allocator on one workload, over all rounds. */
export interface Cell {
  readonly mode: string;
  readonly workload: string;
  readonly allocator: string;
  readonly times: number[];
  readonly memory: number[];
  readonly checksums: Set<number>;
  error?: string;
}

export interface Figures {
  readonly mode: string;
  readonly workload: string;
  readonly allocator: string;
  readonly medianNs: number;
  /** Interquartile range as a share of the median. */
  readonly spread: number;
  readonly ratio: number | undefined;
  readonly memoryBytes: number;
  readonly checksum: number | undefined;
  readonly rounds: number;
}

export class Results {
  /** The allocator that ratios are to. */
  readonly reference: string;
  readonly #cells = new Map<string, Cell>();

  constructor(reference: string) {
    this.reference = reference;
  }

  add(task: Task, answer: Answer): void {
    const cell = this.#cellFor(task, answer.workload);
    if (answer.error !== undefined) cell.error = answer.error;
    if (!answer.measurement) return;
    cell.times.push(answer.measurement.nsPerOperation);
    cell.memory.push(answer.measurement.memoryBytes);
    cell.checksums.add(answer.measurement.checksum);
  }

  cell(mode: string, workload: string, allocator: string): Cell | undefined {
    return this.#cells.get(`${mode} ${workload} ${allocator}`);
  }

  cells(): Cell[] {
    return [...this.#cells.values()];
  }

  figures(cell: Cell): Figures | undefined {
    const { mode, workload, allocator, times, memory } = cell;
    if (times.length === 0 || cell.error !== undefined) return undefined;
    const [checksum] = cell.checksums;
    const ratio = this.#ratio(cell);
    const [medianNs, share, memoryBytes] = [median(times), spread(times), median(memory)];
    const rounds = times.length;
    return {
      mode,
      workload,
      allocator,
      medianNs,
      spread: share,
      ratio,
      memoryBytes,
      checksum,
      rounds,
    };
  }

  /** Over the workloads that this allocator and the reference both ran. */
  meanRatio(mode: string, allocator: string): { mean: number; count: number } | undefined {
    const mine = this.cells().filter((cell) => cell.mode === mode && cell.allocator === allocator);
    const ratios = mine.map((cell) => this.figures(cell)?.ratio).filter((r) => r !== undefined);
    if (ratios.length === 0) return undefined;
    return { mean: geometricMean(ratios), count: ratios.length };
  }

  #ratio(cell: Cell): number | undefined {
    const reference = this.cell(cell.mode, cell.workload, this.reference);
    if (!reference || reference.error !== undefined) return undefined;
    return median(cell.times) / median(reference.times);
  }

  #cellFor({ mode, allocator }: Task, workload: string): Cell {
    const key = `${mode} ${workload} ${allocator}`;
    const known = this.#cells.get(key);
    if (known) return known;
    const cell = { mode, workload, allocator, times: [], memory: [], checksums: new Set<number>() };
    this.#cells.set(key, cell);
    return cell;
  }
}

/**
 * A checksum depends on the workload alone, so two values mean that an allocator lost data.
 * `unchecked` names the allocators which are allowed to.
 */
export function checksumConflicts(
  cells: readonly Cell[],
  unchecked: ReadonlySet<string> = new Set(),
): string[] {
  const seen = new Map<string, Map<number, string>>();
  for (const { workload, allocator, mode, checksums } of cells) {
    if (unchecked.has(allocator)) continue;
    const values = seen.get(workload) ?? new Map<number, string>();
    seen.set(workload, values);
    for (const checksum of checksums)
      if (!values.has(checksum)) values.set(checksum, `${allocator} (${mode})`);
  }
  const conflicts = [...seen].filter(([, values]) => values.size > 1);
  return conflicts.map(([workload, values]) => `${workload}: ${[...values.values()].join(", ")}`);
}
