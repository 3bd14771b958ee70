/** One virtual thread of the core's explorer. */
import { workerData } from "node:worker_threads";
import { dropAll } from "./step-blocks.js";
import { allPrograms } from "./step-programs.js";
import { type ThreadStart, VirtualThread } from "./step-thread.js";
import * as S from "./steps.js";

interface Start extends ThreadStart {
  memory: SharedArrayBuffer;
  cells: SharedArrayBuffer;
  hard: boolean;
}

const { memory, cells: cellBytes, hard, ...start } = workerData as Start;
const { number } = start;
const virtual = new VirtualThread(start);
const cells = new Int32Array(cellBytes);
const words = new Uint32Array(memory);

function grow(slices: number): number {
  const before = Atomics.add(cells, S.CELL_SLICES, slices);
  if (before + slices <= maximum()) return ((slices << 16) | before) >>> 0;
  Atomics.sub(cells, S.CELL_SLICES, slices);
  return 0;
}

/** A purge that hits a block in use destroys its cookie. */
function purged(_operation: number, address: number, bytes: number): number {
  words.fill(0, address >>> 2, (address + bytes) >>> 2);
  return 1;
}

function program(): S.Program {
  return allPrograms[virtual.get(S.PROGRAM)] as S.Program;
}

function maximum(): number {
  return 1 + (program().maximum ?? program().slices ?? 40);
}

const core = S.createStepped(hard, {
  ...S.hardHost(words, () => void Atomics.add(cells, S.CELL_REPORTS, 1)),
  buffer: memory,
  grow,
  pages: purged,
  error: () => {},
  step: (index, load) => virtual.step(index, load),
  stepStore: () => virtual.store(program().stores === true),
  stepLoad: () => virtual.load(),
  get torn() {
    return virtual.scheduled && virtual.get(S.TORN) === 1;
  },
  slices: 0,
});
const dead = () => virtual.get(S.DEAD);
const thread: S.Thread = { number, core, words, cells, hard, dead };

function attach(): void {
  const thread = core.threadAttach(S.BASE, 0);
  if (thread === 0) throw new Error("no area for a thread");
  cells[S.CELL_THREADS + number] = thread;
}

/** Attaches a thread again that has detached, for what is left to do. */
function end(role: S.Program["roles"][number]): void {
  if (core.threadHeap() === 0) attach();
  if (virtual.get(S.DEAD) === 0 && !core.heapIsValid()) throw new Error("heapIsValid");
  role.end?.(thread);
  dropAll(thread);
  core.threadDetach();
}

virtual.serve((phase) => {
  const role = program().roles[number] as S.Program["roles"][number];
  if (phase === S.BEGIN) {
    attach();
    role.begin?.(thread);
  } else if (phase === S.RUN) {
    virtual.run(() => role.run(thread));
  } else {
    end(role);
  }
});
