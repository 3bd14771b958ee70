/** One virtual thread of the size-class allocator's explorer. */
import { workerData } from "node:worker_threads";
import { SharedSizeClassHeap } from "#src/sizeclass/heap/shared.js";
import { type ThreadStart, VirtualThread } from "../../support/step-thread.js";
import { allPrograms } from "./step-all.js";
import { dropAll } from "./step-blocks.js";
import { steppedWords } from "./step-words.js";
import * as S from "./steps.js";

const { memory, cells: cellBytes, live, ...start } = workerData as ThreadStart & S.Shared;
const { number } = start;
const virtual = new VirtualThread(start, (index) => S.raceIsMeant(program(), index));
const instance = new S.Instance(
  { memory, cells: cellBytes, live },
  {
    step: (index, load) => virtual.step(index, load),
    plain: (index, load) => virtual.plain(index, load),
    pause: (rounds) => virtual.pause(rounds),
    get torn() {
      return virtual.scheduled && virtual.get(S.TORN) === 1;
    },
  },
);
const { core, words, cells } = instance;
const stepped = steppedWords(words, virtual);

/** The accesses of TypeScript to words are steps too. */
class SteppedHeap extends SharedSizeClassHeap {
  override get u32(): Uint32Array {
    return stepped;
  }
}

const thread: S.Thread = {
  number,
  core,
  words,
  cells,
  live: instance.live,
  heap: undefined as unknown as SteppedHeap,
  hard: undefined,
  attach,
  meet: (cell) => virtual.step(S.MEMORY_WORDS + cell, false),
};

function attach(): void {
  thread.heap = instance.attach(SteppedHeap);
  cells[S.CELL_THREAD_IDS + number] = thread.heap.threadId;
  thread.hard = S.hardenedOf(program(), thread);
}

function program(): S.Program {
  return allPrograms[virtual.get(S.PROGRAM)] as S.Program;
}

/** A thread that has detached attaches again for the rest. */
function end(role: S.Program["roles"][number]): void {
  if (!instance.isAttached(thread.heap.threadId)) attach();
  role.end?.(thread);
  dropAll(thread);
  (thread.hard ?? thread.heap).drain();
  (thread.hard ?? thread.heap).detach();
}

virtual.serve((phase) => {
  const role = program().roles[number] as S.Program["roles"][number];
  if (phase === S.BEGIN) {
    instance.bind(program());
    attach();
    role.begin?.(thread);
  } else if (phase === S.RUN) {
    virtual.run(() => role.run(thread));
  } else {
    end(role);
  }
});
