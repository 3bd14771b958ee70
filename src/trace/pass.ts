/**
 * Every pass over a trace runs on a thread of its own. On one thread, what the engine has learnt of
 * one allocator changes the code for the next: the JavaScript heap was up to 3x slower in the
 * second round than in the first, and its garbage was counted as another allocator's memory.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Measure } from "./measure.ts";
import { ReplayError } from "./measure.ts";
import type { Trace } from "./ops.ts";

export interface PassOrder {
  readonly kind: "measure" | "round";
  readonly trace: Trace;
  /** Its name in the table of allocators.ts. */
  readonly allocator: string;
  /** Whether each thread of the trace runs in a Worker of its own. */
  readonly threads: boolean;
}

export interface PassResult {
  /** What went wrong, as text for the user. */
  readonly fault?: string;
  readonly measure?: Measure;
  /** Operations a second. */
  readonly speed?: number;
}

type PassSubject = Omit<PassOrder, "kind">;

/** @throws ReplayError if the allocator fails, is not installed, or ends the thread. */
export async function measureStart(subject: PassSubject): Promise<Measure> {
  const { measure } = await passStart({ kind: "measure", ...subject });
  return measure as Measure;
}

/**
 * Operations a second of one round.
 * @throws ReplayError as measureStart.
 */
export async function roundStart(subject: PassSubject): Promise<number> {
  const { speed } = await passStart({ kind: "round", ...subject });
  return speed as number;
}

async function passStart(order: PassOrder): Promise<PassResult> {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: order });
  try {
    const [result] = (await once(worker, "message")) as [PassResult];
    if (result.fault !== undefined) throw new ReplayError(result.fault);
    return result;
  } catch (error) {
    if (error instanceof ReplayError) throw error;
    // The thread itself ended, as when the engine is out of memory.
    const text = error instanceof Error ? error.message : String(error);
    throw new ReplayError(`${order.trace.file}: ${order.allocator}: ${text}`);
  } finally {
    await worker.terminate();
  }
}
