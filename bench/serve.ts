/**
 * The side of the process that measures: one allocator has a process of its own, so that neither
 * code nor memory of one can disturb another. Forked by driver.ts; replies by messages.
 */

export interface Task {
  readonly allocator: string;
  /** How the allocator is called, or by how many Workers. */
  readonly mode: string;
  readonly workloads: readonly string[];
}

export interface Measurement {
  readonly nsPerOperation: number;
  readonly checksum: number;
  /** Linear memory at the end, less what the driver took for itself. */
  readonly memoryBytes: number;
}

export interface Answer {
  readonly workload: string;
  readonly measurement?: Measurement;
  readonly error?: string;
}

type Measure = (task: Task, workload: string) => Promise<Measurement>;

async function answerFor(measure: Measure, task: Task, workload: string): Promise<Answer> {
  try {
    return { workload, measurement: await measure(task, workload) };
  } catch (error) {
    return { workload, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Measures the workloads of the one task that the parent sends. */
export function serve(measure: Measure): void {
  process.once("message", async (task: Task) => {
    for (const workload of task.workloads) {
      process.send?.(await answerFor(measure, task, workload));
    }
    process.disconnect();
  });
}
