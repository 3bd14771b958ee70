/** The thread on which a program runs; `threadRun` in thread.ts starts it. */
import { workerData } from "node:worker_threads";
import { checkRun } from "./check-thread.ts";
import type { ThreadData, ThreadMessage, ThreadOrder } from "./orders.ts";
import { runRun } from "./run-thread.ts";
import { UsageError } from "./usage.ts";

/** Frames that the stack of a trap has. */
const FRAMES = 32;

type Post = (message: ThreadMessage) => void;

async function orderRun(order: ThreadOrder, post: Post): Promise<ThreadMessage> {
  try {
    const result =
      order.command === "check" ? await checkRun(order, post) : await runRun(order, post);
    return { kind: "ended", result };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { kind: error instanceof UsageError ? "usage" : "failed", text };
  }
}

/** Runs the program that this thread was started for. */
export async function threadProgram(): Promise<void> {
  const { order, port } = workerData as ThreadData;
  const post = (message: ThreadMessage) => port.postMessage(message);
  Error.stackTraceLimit = FRAMES;
  post(await orderRun(order, post));
  port.close();
}
