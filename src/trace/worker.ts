/** A thread of a replay: it runs a pass, or plays one thread of a trace. */
import { parentPort, workerData } from "node:worker_threads";
import { AllocatorError, findTraceAllocator } from "./allocators.ts";
import { measureRun, ReplayError } from "./measure.ts";
import { memberRun } from "./member.ts";
import type { PassOrder, PassResult } from "./pass.ts";
import { roundRun } from "./round.ts";
import type { MemberOrder } from "./team.ts";

async function passRun(order: PassOrder): Promise<PassResult> {
  const { kind, trace, allocator, threads } = order;
  if (threads) return (await import("./team.ts")).teamRun(order);
  const subject = await findTraceAllocator(allocator).create(trace.facts.aligned);
  if (kind === "measure") return { measure: measureRun(trace, allocator, subject) };
  return { speed: roundRun(trace, subject) };
}

/** Errors lose their class when they are sent to another thread: so their text is made here. */
function faultText(error: unknown, { trace, allocator }: PassOrder): string {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof ReplayError || error instanceof AllocatorError) return text;
  return `${trace.file}: ${allocator}: ${text}`;
}

const order = workerData as PassOrder | MemberOrder;
const result =
  "board" in order
    ? memberRun(order)
    : await passRun(order).catch((error) => ({ fault: faultText(error, order) }));
parentPort?.postMessage(result);
