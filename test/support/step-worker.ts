/** One virtual thread of the explorer. */
import { type MessagePort, workerData } from "node:worker_threads";
import { dropAll } from "./step-blocks.js";
import { allPrograms } from "./step-programs.js";
import * as S from "./steps.js";

interface Start {
  number: number;
  control: SharedArrayBuffer;
  memory: SharedArrayBuffer;
  cells: SharedArrayBuffer;
  access: SharedArrayBuffer;
  port: MessagePort;
  hard: boolean;
}

const {
  number,
  control,
  memory,
  cells: cellBytes,
  access: accesses,
  port,
  hard,
} = workerData as Start;
const ctl = new Int32Array(control);
const cells = new Int32Array(cellBytes);
const words = new Uint32Array(memory);
const access = new Uint8Array(accesses);

/** Thrown by a step at which the thread dies: it never touches the memory again. */
class Death extends Error {}

let scheduled = false;
let ownSteps = 0;
let lastLoad = -1;

function get(word: number): number {
  return Atomics.load(ctl, word);
}

/** Waits until a word is something else, some microseconds without sleep. */
function awaitChange(word: number, value: number): void {
  for (let i = 0; i < 300; i++) if (get(word) !== value) return;
  while (get(word) === value) Atomics.wait(ctl, word, value);
}

function awaitTurn(): void {
  for (let turn = get(S.TURN); turn !== number; turn = get(S.TURN)) awaitChange(S.TURN, turn);
}

function passTo(thread: number): void {
  Atomics.store(ctl, S.TURN, thread);
  Atomics.notify(ctl, S.TURN);
}

function dieAtDeath(): void {
  if (get(S.VICTIM) !== number) return;
  if (ownSteps++ !== get(S.DEATH)) return;
  Atomics.store(ctl, S.DEAD, 1);
  throw new Death();
}

/** Notes an access to a word; whether it matters who comes first there. */
function touch(index: number, load: boolean): boolean {
  const before = access[index] as number;
  const after = before | ((load ? 1 : 8) << number);
  if (after !== before) {
    access[index] = after;
    if (S.inConflict(after) && !S.inConflict(before)) Atomics.add(ctl, S.CONFLICTS, 1);
  }
  return S.inConflict(after);
}

/** Looking twice at a word that nobody can have changed is one step. */
function step(index: number, load: boolean): void {
  if (!scheduled || (load && index === lastLoad)) return;
  lastLoad = load ? index : -1;
  dieAtDeath();
  turnPoint(touch(index, load));
}

function turnPoint(matters: boolean): void {
  const now = Atomics.add(ctl, S.STEPS, 1);
  if (now < S.HISTORY_MAX) ctl[S.HISTORY + now] = number | (matters ? S.MATTERS : 0);
  const next = planned(now);
  if (next === number || next === S.NOBODY) return;
  lastLoad = -1;
  passTo(next);
  awaitTurn();
}

function stepStore(): void {
  if (!scheduled) return;
  dieAtDeath();
  if (program().stores) turnPoint(true);
}

function lives(thread: number): boolean {
  return thread < get(S.THREADS) && ((get(S.DONE) >>> thread) & 1) === 0;
}

/** Who goes on after a step; NOBODY = no change. */
function planned(now: number): number {
  if (get(S.ONE_IN) !== 0) return random();
  for (let i = S.PLAN; get(i) >= 0; i += 2) {
    if (get(i) === now) return lives(get(i + 1)) ? get(i + 1) : S.NOBODY;
  }
  return S.NOBODY;
}

function random(): number {
  let x = get(S.SEED);
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  Atomics.store(ctl, S.SEED, x);
  if ((x >>> 0) % get(S.ONE_IN) !== 0) return S.NOBODY;
  const thread = (x >>> 16) % get(S.THREADS);
  return lives(thread) ? thread : S.NOBODY;
}

/** This thread has ended: the next one that lives goes on. */
function leave(): void {
  Atomics.or(ctl, S.DONE, 1 << number);
  let next = 0;
  while (next < get(S.THREADS) && !lives(next)) next++;
  passTo(next < get(S.THREADS) ? next : S.NOBODY);
}

function grow(slices: number): number {
  const before = Atomics.add(cells, S.CELL_SLICES, slices);
  if (before + slices <= maximum()) return ((slices << 16) | before) >>> 0;
  Atomics.sub(cells, S.CELL_SLICES, slices);
  return 0;
}

/** A purge that hits a block in use takes its cookie. */
function purged(_operation: number, address: number, bytes: number): number {
  words.fill(0, address >>> 2, (address + bytes) >>> 2);
  return 1;
}

function program(): S.Program {
  return allPrograms[get(S.PROGRAM)] as S.Program;
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
  step,
  stepStore,
  get torn() {
    return scheduled && get(S.TORN) === 1;
  },
  slices: 0,
});
const thread: S.Thread = { number, core, words, cells, hard };

function attach(): void {
  const ticket = core.threadAttach(S.BASE, 0);
  if (ticket === 0) throw new Error("no place for a thread");
  cells[S.CELL_TICKETS + number] = ticket;
}

/** A thread that has detached attaches again for what is left to do. */
function end(role: S.Role): void {
  if (core.threadHeap() === 0) attach();
  if (get(S.DEAD) === 0 && !core.heapIsValid()) throw new Error("heapIsValid");
  role.end?.(thread);
  dropAll(thread);
  core.threadDetach();
}

function run(role: S.Role): void {
  awaitTurn();
  ownSteps = 0;
  lastLoad = -1;
  scheduled = true;
  try {
    role.run(thread);
  } finally {
    scheduled = false;
    leave();
  }
}

function obey(phase: number): void {
  const role = program().roles[number] as S.Role;
  if (phase === S.BEGIN) {
    attach();
    role.begin?.(thread);
  } else if (phase === S.RUN) {
    run(role);
  } else {
    end(role);
  }
}

function guarded(phase: number): void {
  try {
    obey(phase);
  } catch (error) {
    if (error instanceof Death) return;
    Atomics.store(ctl, S.FAILED, 1);
    port.postMessage(String((error as Error).stack));
  }
}

for (let command = 0; ; ) {
  awaitChange(S.COMMAND, command);
  command = get(S.COMMAND);
  if (command === S.QUIT) break;
  const role = command & 15;
  if (role !== number && !(role === S.ALL && number < get(S.THREADS))) continue;
  guarded((command >>> 4) & 15);
  Atomics.add(ctl, S.ANSWERS, 1);
  Atomics.notify(ctl, S.ANSWERS);
}
