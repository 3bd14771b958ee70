/**
 * Measures some workloads on one allocator in a process of its own, so that neither code nor
 * memory of one allocator can disturb another. Forked by run.ts; answers by messages.
 */

import type { Mode } from "./allocators.ts";
import { allocatorNamed } from "./allocators.ts";
import type { Measurement } from "./measure.ts";
import { measure } from "./measure.ts";

export interface Task {
  readonly allocator: string;
  readonly mode: Mode;
  readonly workloads: readonly string[];
}

export interface Answer {
  readonly workload: string;
  readonly measurement?: Measurement;
  readonly error?: string;
}

async function answerFor(task: Task, workload: string): Promise<Answer> {
  try {
    const measurement = await measure(allocatorNamed(task.allocator), workload, task.mode);
    return { workload, measurement };
  } catch (error) {
    return { workload, error: error instanceof Error ? error.message : String(error) };
  }
}

async function work(task: Task): Promise<void> {
  for (const workload of task.workloads) process.send?.(await answerFor(task, workload));
  process.disconnect();
}

process.once("message", (task: Task) => void work(task));
