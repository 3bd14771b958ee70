/** One Worker of a benchmark of threads: joins the allocator, then does what the driver says. */
import { parentPort, workerData } from "node:worker_threads";
import { linkWorkloads } from "./measure.ts";
import { sharedAllocatorNamed } from "./threads-allocators.ts";
import type { Post, Run } from "./threads-measure.ts";

const { allocator, seat, workload, workers, id, shared, tables, seed, operations } =
  workerData as Post;
const member = sharedAllocatorNamed(allocator).join(seat);
const calls = linkWorkloads(member) as Record<string, (...args: number[]) => number>;

/** The clock starts when all Workers are there. */
function run(): Run {
  calls.rendezvous?.(shared, workers);
  const start = process.hrtime.bigint();
  const sum = calls[workload]?.(shared, tables, id, workers, seed, operations) ?? 0;
  return { checksum: sum >>> 0, start, end: process.hrtime.bigint() };
}

parentPort?.on("message", (message: "run" | "leave") => {
  if (message === "run") parentPort?.postMessage(run());
  else {
    member.leave();
    parentPort?.postMessage("left");
  }
});
