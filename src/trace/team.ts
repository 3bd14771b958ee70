/** A pass with the threads of a trace: each in a Worker of its own, all on one heap. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { HeapHandle, SharedHeap } from "../heap/shared-heap.ts";
import { findTraceAllocator } from "./allocators.ts";
import type { LiveBlocksMemory } from "./live-blocks.ts";
import { liveBlocksMemory, liveBlocksOver, sharedWords } from "./live-blocks.ts";
import type { Measure } from "./measure.ts";
import { ReplayError } from "./measure.ts";
import type { PassOrder, PassResult } from "./pass.ts";
import type { Part, Plan } from "./plan.ts";
import { planCreate } from "./plan.ts";
import { BARRIER_WORDS } from "./turns.ts";

/** The memory that all members of a team share. */
interface Board extends LiveBlocksMemory {
  readonly barrier: Int32Array;
  /** By slot; see turns.ts. */
  readonly turns: Int32Array;
  /** One word: 1 when the first member has timed enough passes. */
  readonly over: Int32Array;
}

export interface MemberOrder {
  readonly kind: PassOrder["kind"];
  /** Of the whole trace. */
  readonly operations: number;
  readonly aligned: boolean;
  readonly part: Part;
  /** From 0 on; the first member measures the time. */
  readonly index: number;
  readonly members: number;
  readonly board: Board;
  readonly handle: HeapHandle;
}

export interface MemberResult {
  /** What went wrong, and in which operation. */
  readonly fault?: string;
  /** Of the first member. */
  readonly speed?: number;
  /** Of a measuring pass. */
  readonly stateBytes?: number;
}

/**
 * Runs on the pass's own thread, which owns the heap and plays no operation.
 * @throws ReplayError if an operation fails, and if blocks are left at the end.
 */
export async function teamRun({ kind, trace, allocator }: PassOrder): Promise<PassResult> {
  const { share } = findTraceAllocator(allocator);
  if (share === undefined) throw new ReplayError(`${allocator} cannot be shared by threads`);
  const heap = await share();
  const plan = planCreate(trace);
  const board = teamBoard(plan);
  const { operations, aligned } = trace.facts;
  const common = { kind, operations, aligned, board, members: plan.parts.length };
  const title = `${trace.file}: ${allocator}`;
  const results = await Promise.all(
    plan.parts.map((part, index) => memberStart(heap, title, { ...common, part, index })),
  );
  heapCheck(heap, title);
  if (kind === "measure") return { measure: teamMeasure(board, results) };
  return { speed: results[0]?.speed as number };
}

function teamBoard({ slots }: Plan): Board {
  const words = (count: number) => new Int32Array(sharedWords(count).buffer);
  return {
    ...liveBlocksMemory(slots),
    barrier: words(BARRIER_WORDS),
    turns: words(slots),
    over: words(1),
  };
}

function teamMeasure(board: Board, results: readonly MemberResult[]): Measure {
  const { granules, live } = liveBlocksOver(board);
  const stateBytes = results[0]?.stateBytes as number;
  const peakBytes = granules.bytes + stateBytes;
  return { peakBytes, peakLiveBytes: live.peak, threads: results.length };
}

async function memberStart(
  heap: SharedHeap,
  title: string,
  order: Omit<MemberOrder, "handle">,
): Promise<MemberResult> {
  const url = new URL("./worker.js", import.meta.url);
  const worker = heap.startWorker(
    (handle) => new Worker(url, { workerData: { ...order, handle } satisfies MemberOrder }),
  );
  const [result] = (await once(worker, "message")) as [MemberResult];
  if (result.fault === undefined) return result;
  throw new ReplayError(`${title}: thread ${order.part.thread}: ${result.fault}`);
}

/**
 * Checks that no block is left after all members have freed their blocks and ended.
 * @throws ReplayError with a message that begins with the title.
 */
export function heapCheck(heap: SharedHeap, title: string): void {
  heap.collect(true);
  const { blocks, pages, threads } = heap.stats();
  if (blocks === 0 && pages === 0 && threads === 1) return;
  const left = `${blocks} blocks, ${pages} pages and ${threads - 1} threads are left`;
  throw new ReplayError(`${title}: after the replay ${left}`);
}
