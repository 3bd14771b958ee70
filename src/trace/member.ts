/** The Worker that plays one thread of a trace; `memberRun` in team.ts starts it. */
import { parentPort, workerData } from "node:worker_threads";
import { sharedJavascript } from "../heap/javascript.ts";
import { attachHeap } from "../heap/shared.ts";
import { heapSubject } from "./allocators.ts";
import { liveBlocksOver } from "./live-blocks.ts";
import { MeasureRun } from "./measure.ts";
import { Pace, recordsPlay, tableClear } from "./round.ts";
import type { Subject } from "./subject.ts";
import type { MemberOrder, MemberResult } from "./team.ts";
import { barrierWait, partPlay } from "./turns.ts";

const order = workerData as MemberOrder;
const { board, index, members, part } = order;

function meet(): void {
  barrierWait(board.barrier, members);
}

/** Blocks that are live at the end are divided among the threads by slot. */
function measurePlay(subject: Subject): MemberResult {
  let count = 0;
  const run = new MeasureRun(subject, liveBlocksOver(board), () => part.ids[count++] as number);
  try {
    meet();
    partPlay(part, board.turns, (records, from, to) => run.play(records, from, to));
    meet();
    run.freeAll(index, members);
  } catch (error) {
    return { fault: `operation ${run.operation}: ${(error as Error).message}` };
  }
  meet();
  return { stateBytes: subject.stateBytes() };
}

function roundPlay(subject: Subject): MemberResult {
  const { pointers, turns, over } = board;
  const pace = new Pace(members);
  for (;;) {
    meet();
    if (Atomics.load(over, 0) !== 0) return { speed: pace.speed(order.operations) };
    const start = performance.now();
    partPlay(part, turns, (records, from, to) => recordsPlay(records, from, to, pointers, subject));
    meet();
    const time = performance.now() - start;
    tableClear(pointers, index, members, subject);
    if (index !== 0) continue;
    turns.fill(0);
    if (pace.passEnds(time)) Atomics.store(over, 0, 1);
  }
}

function orderRun(): MemberResult {
  const heap = attachHeap(order.handle, { backend: sharedJavascript });
  const subject = heapSubject(heap, order.aligned);
  const result = order.kind === "measure" ? measurePlay(subject) : roundPlay(subject);
  heap.detach();
  return result;
}

function faultResult(error: unknown): MemberResult {
  return { fault: error instanceof Error ? error.message : String(error) };
}

let result: MemberResult;
try {
  result = orderRun();
} catch (error) {
  result = faultResult(error);
}
parentPort?.postMessage(result);
