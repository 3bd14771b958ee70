/** The Worker that plays one thread of a trace; memberRun in team.ts starts it. */
import { parentPort, workerData } from "node:worker_threads";
import { sharedJavascript } from "../heap/javascript.ts";
import { attachHeap } from "../heap/shared.ts";
import { heapSubject } from "./allocators.ts";
import { liveBlocksOver } from "./live-blocks.ts";
import { MeasureRun } from "./measure.ts";
import { Pace, recordsPlay, tableClear } from "./round.ts";
import type { Subject } from "./subject.ts";
import type { MemberAnswer, MemberOrder } from "./team.ts";
import { barrierWait, partPlay } from "./turns.ts";

const order = workerData as MemberOrder;
const { board, index, members, part } = order;

function meet(): void {
  barrierWait(board.barrier, members);
}

/** What the trace leaves live is shared out by slots: most of it is freed by another thread. */
function measurePlay(subject: Subject): MemberAnswer {
  let made = 0;
  const run = new MeasureRun(subject, liveBlocksOver(board), () => part.ids[made++] as number);
  try {
    meet();
    partPlay(part, board.turns, (records, from, to) => run.play(records, from, to));
    meet();
    run.leaveAll(index, members);
  } catch (error) {
    return { fault: `operation ${run.operation}: ${(error as Error).message}` };
  }
  meet();
  return { stateBytes: subject.stateBytes() };
}

function roundPlay(subject: Subject): MemberAnswer {
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

function orderRun(): MemberAnswer {
  const heap = attachHeap(order.handle, { backend: sharedJavascript });
  const subject = heapSubject(heap, order.aligned);
  const answer = order.kind === "measure" ? measurePlay(subject) : roundPlay(subject);
  heap.detach();
  return answer;
}

function faultAnswer(error: unknown): MemberAnswer {
  return { fault: error instanceof Error ? error.message : String(error) };
}

let answer: MemberAnswer;
try {
  answer = orderRun();
} catch (error) {
  answer = faultAnswer(error);
}
parentPort?.postMessage(answer);
