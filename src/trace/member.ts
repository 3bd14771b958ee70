/** Plays one thread of a trace; `memberStart` in team.ts starts a Worker for each. */
import { sharedJavascript } from "../heap/javascript.ts";
import { attachHeap } from "../heap/shared.ts";
import { heapSubject } from "./allocators.ts";
import { liveBlocksOver } from "./live-blocks.ts";
import { MeasureRun } from "./measure.ts";
import { Pace, recordsPlay, tableClear } from "./round.ts";
import type { Subject } from "./subject.ts";
import type { MemberOrder, MemberResult } from "./team.ts";
import { barrierWait, partPlay } from "./turns.ts";

class Member {
  readonly #order: MemberOrder;

  constructor(order: MemberOrder) {
    this.#order = order;
  }

  run(): MemberResult {
    const { handle, aligned, kind } = this.#order;
    const heap = attachHeap(handle, { backend: sharedJavascript });
    const subject = heapSubject(heap, aligned);
    const result = kind === "measure" ? this.#measure(subject) : this.#round(subject);
    heap.detach();
    return result;
  }

  #meet(): void {
    barrierWait(this.#order.board.barrier, this.#order.members);
  }

  /** Blocks that are live at the end are divided among the threads by slot. */
  #measure(subject: Subject): MemberResult {
    const { board, index, members, part } = this.#order;
    let count = 0;
    const run = new MeasureRun(subject, liveBlocksOver(board), () => part.ids[count++] as number);
    try {
      this.#meet();
      partPlay(part, board.turns, (records, from, to) => run.play(records, from, to));
      this.#meet();
      run.freeAll(index, members);
    } catch (error) {
      return { fault: `operation ${run.operation}: ${(error as Error).message}` };
    }
    this.#meet();
    return { stateBytes: subject.stateBytes() };
  }

  #round(subject: Subject): MemberResult {
    const { board, index, members, part, operations } = this.#order;
    const { pointers, turns, over } = board;
    const pace = new Pace(members);
    for (;;) {
      this.#meet();
      if (Atomics.load(over, 0) !== 0) return { speed: pace.speed(operations) };
      const start = performance.now();
      partPlay(part, turns, (records, from, to) =>
        recordsPlay(records, from, to, pointers, subject),
      );
      this.#meet();
      const time = performance.now() - start;
      tableClear(pointers, index, members, subject);
      if (index !== 0) continue;
      turns.fill(0);
      if (pace.passEnds(time)) Atomics.store(over, 0, 1);
    }
  }
}

/** Plays the part of a thread; errors become texts, since they lose their class on the way. */
export function memberRun(order: MemberOrder): MemberResult {
  try {
    return new Member(order).run();
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}
