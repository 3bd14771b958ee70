/** Runs programs of virtual threads through all schedules of a kind; see steps.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { A_GROWER, A_PAGE_SLICES, INIT_ZEROED, SLICE_SIZE } from "#dist/core/layout.js";
import { dropAll, keep } from "./step-blocks.js";
import { allPrograms } from "./step-programs.js";
import * as S from "./steps.js";

const THREADS_MAX = 3;
const MEMORY_SLICES = 128;

/** Preemptions of a run: at a step, the turn passes to a thread. */
export type Plan = readonly (readonly [step: number, thread: number])[];

export interface Schedule {
  /** Who begins. */
  first: number;
  plan: Plan;
  /** A random plan instead: preempts one in `oneIn` steps. */
  seed?: number;
  oneIn?: number;
}

export interface Outcome {
  steps: number;
  /** The thread of each step, with MATTERS. */
  history: Int32Array;
  /** Whether the victim reached its death. */
  died: boolean;
}

export class Explorer {
  readonly #ctl = new Int32Array(new SharedArrayBuffer(S.CONTROL_WORDS * 4));
  readonly #cells = new Int32Array(new SharedArrayBuffer(S.CELLS * 4));
  readonly #words = new Uint32Array(new SharedArrayBuffer(MEMORY_SLICES * SLICE_SIZE));
  readonly #access = new Uint8Array(new SharedArrayBuffer(this.#words.length));
  readonly #workers: Worker[] = [];
  readonly #ports: MessageChannel["port1"][] = [];
  readonly #core: S.SteppedCore;
  readonly #hard: number | undefined;
  #slices = 0;
  #sequence = 0;
  runs = 0;

  /** `hard`: the features of a hardened core; else the plain one. */
  constructor(hard?: number) {
    this.#hard = hard;
    for (let number = 0; number < THREADS_MAX; number++) {
      const { port1, port2 } = new MessageChannel();
      const shared = { control: this.#ctl.buffer, memory: this.#words.buffer };
      const notes = { cells: this.#cells.buffer, access: this.#access.buffer };
      const workerData = { number, ...shared, ...notes, port: port2, hard: hard !== undefined };
      const url = new URL("step-worker.js", import.meta.url);
      const worker = new Worker(url, { workerData, transferList: [port2] });
      worker.unref();
      this.#workers.push(worker);
      this.#ports.push(port1);
    }
    const slices = () => this.#slices;
    this.#core = S.createStepped(hard !== undefined, {
      ...S.hardHost(this.#words, () => void Atomics.add(this.#cells, S.CELL_REPORTS, 1)),
      buffer: this.#words.buffer,
      grow: () => 0,
      pages: () => 1,
      error: () => {},
      step: () => {},
      stepStore: () => {},
      torn: false,
      get slices() {
        return slices();
      },
    });
  }

  /** What was learnt of a program's words is forgotten. */
  forget(): void {
    this.#access.fill(0);
  }

  /** How many words are known to be in conflict. */
  get conflicts(): number {
    return Atomics.load(this.#ctl, S.CONFLICTS);
  }

  /** The Workers end by themselves: Node 24 crashed where they were terminated in Atomics.wait. */
  async close(): Promise<void> {
    const exits = this.#workers.map((worker) => once(worker, "exit"));
    this.#set(S.COMMAND, S.QUIT);
    Atomics.notify(this.#ctl, S.COMMAND);
    await Promise.all(exits);
    for (const port of this.#ports) port.close();
  }

  /** One run from a fresh memory; throws what went wrong, with the schedule. */
  run(program: S.Program, schedule: Schedule, torn = false, death = S.NOBODY): Outcome {
    this.runs += 1;
    try {
      this.#begin(program, schedule, torn, death);
      this.#command(S.RUN, S.ALL, program.roles.length);
      const outcome = this.#outcome();
      this.#end(program, outcome.died);
      return outcome;
    } catch (error) {
      const recording = { program: program.name, ...schedule, torn, death };
      const text = `${program.name}: ${(error as Error).message}\n  ${recordingText(recording)}`;
      throw new Error(text, { cause: error });
    }
  }

  #begin(program: S.Program, schedule: Schedule, torn: boolean, death: number): void {
    const { roles, slices = 40 } = program;
    this.#words.fill(0);
    this.#cells.fill(0);
    this.#slices = 1 + slices;
    this.#cells[S.CELL_SLICES] = this.#slices;
    this.#ctl.fill(0, S.STEPS, S.COMMAND);
    this.#ctl.fill(0, S.PROGRAM, S.CONFLICTS);
    this.#set(S.PROGRAM, allPrograms.indexOf(program));
    this.#set(S.THREADS, roles.length);
    this.#set(S.TORN, torn ? 1 : 0);
    this.#set(S.VICTIM, death === S.NOBODY ? S.NOBODY : 0);
    this.#set(S.DEATH, death);
    this.#set(S.SEED, schedule.seed ?? 0);
    this.#set(S.ONE_IN, schedule.oneIn ?? 0);
    this.#ctl.set([...schedule.plan.flat(), -1], S.PLAN);
    this.#core.heapInit(S.BASE, INIT_ZEROED);
    if (this.#hard !== undefined) this.#core.hardeningBegin(this.#hard, 0);
    this.#core.threadDetach();
    for (let role = 0; role < roles.length; role++) this.#command(S.BEGIN, role, 1);
    this.#set(S.TURN, schedule.first);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#ctl, word, value);
  }

  #command(phase: number, role: number, answers: number): void {
    this.#set(S.ANSWERS, 0);
    this.#sequence = (this.#sequence + 1) & 0x7fffff;
    this.#set(S.COMMAND, (this.#sequence << 8) | (phase << 4) | role);
    Atomics.notify(this.#ctl, S.COMMAND);
    for (let have = 0; have < answers; have = Atomics.load(this.#ctl, S.ANSWERS)) {
      const waited = Atomics.wait(this.#ctl, S.ANSWERS, have, 20000);
      if (waited === "timed-out") throw new Error("the threads do not come to an end");
    }
    if (Atomics.load(this.#ctl, S.FAILED) !== 0) throw new Error(this.#failure());
  }

  #failure(): string {
    for (const port of this.#ports) {
      const answer = receiveMessageOnPort(port);
      if (answer) return String(answer.message);
    }
    return "a thread failed without a word";
  }

  #outcome(): Outcome {
    const steps = Math.min(Atomics.load(this.#ctl, S.STEPS), S.HISTORY_MAX);
    const history = this.#ctl.slice(S.HISTORY, S.HISTORY + steps);
    return { steps, history, died: Atomics.load(this.#ctl, S.DEAD) === 1 };
  }

  /** The living end in order; then nothing is left but what a death may leave. */
  #end(program: S.Program, died: boolean): void {
    const hard = this.#hard !== undefined;
    const me = { number: 6, core: this.#core, words: this.#words, cells: this.#cells, hard };
    this.#core.threadAttach(S.BASE, 0);
    if (died) this.#bury();
    program.check?.(me);
    for (let role = died ? 1 : 0; role < program.roles.length; role++) {
      this.#command(S.END, role, 1);
    }
    if (died) dropAll(me, 0);
    else assert.equal(this.#core.lostCollect(), 0, "slices that nobody has");
    if (hard) assert.equal(this.#cells[S.CELL_REPORTS], program.reports ?? 0, "reports");
    this.#core.heapCollect(true);
    this.#core.heapCollect(true);
    const left = died ? (program.leak ?? 0) : 0;
    this.#assertBooks(left);
    if (died) this.#fill(me, left);
    this.#core.threadDetach();
  }

  /** Recovers the victim, unless it died behind its end, or before it was one. */
  #bury(): void {
    this.#core.threadRecover(this.#cells[S.CELL_TICKETS] as number);
    assert.equal(this.#core.threadRecover(this.#cells[S.CELL_TICKETS] as number), false, "twice");
  }

  #assertBooks(left: number): void {
    assert.ok(this.#core.arenaIsValid(), "arenaIsValid");
    assert.ok(this.#core.heapIsValid(), "heapIsValid");
    const used = this.#words[(S.BASE + A_PAGE_SLICES) >>> 2] as number;
    assert.ok(used <= left, `${used} slices in use, at most ${left} expected`);
    assert.equal(this.#core.threadCount(), 1, "threads");
    assert.equal(this.#words[(S.BASE + A_GROWER) >>> 2], 0, "nobody grows");
  }

  /** Everything that is free can be had, and no two blocks share a byte. */
  #fill(me: S.Thread, left: number): void {
    let slot = 0;
    while (slot < S.CELLS_EACH - 1 && keep(me, slot, 8000) !== 0) slot++;
    dropAll(me);
    this.#core.heapCollect(true);
    this.#assertBooks(left);
  }
}

/** A run that can be made again: TERRANE_SCHEDULE takes what a failure prints. */
interface Recording extends Schedule {
  program: string;
  torn?: boolean;
  death?: number;
}

function recordingText(recording: Recording): string {
  return `again: TERRANE_SCHEDULE='${JSON.stringify(recording)}'`;
}

/** Makes the run of a recording again. */
export function replay(explorer: Explorer, text: string): Outcome {
  const { program: name, torn, death, ...schedule } = JSON.parse(text) as Recording;
  const program = allPrograms.find((each) => each.name === name);
  if (!program) throw new Error(`no program is called ${name}`);
  return explorer.run(program, schedule, torn, death);
}

/** Every schedule of a program with at most `most` preemptions, depth first. */
export function exploreAll(
  explorer: Explorer,
  program: S.Program,
  most: number,
  torn = false,
): void {
  explorer.forget();
  for (let known = -1; known !== explorer.conflicts; ) {
    known = explorer.conflicts;
    for (let first = 0; first < program.roles.length; first++) {
      explorePlan(explorer, program, { first, plan: [] }, most, torn);
    }
  }
}

function explorePlan(
  explorer: Explorer,
  program: S.Program,
  schedule: Schedule,
  most: number,
  torn: boolean,
): void {
  const { steps, history } = explorer.run(program, schedule, torn);
  if (schedule.plan.length === most) return;
  const from = (schedule.plan.at(-1)?.[0] ?? -1) + 1;
  for (let step = from; step < steps; step++) {
    const who = history[step] as number;
    if ((who & S.MATTERS) === 0) continue;
    for (let thread = 0; thread < program.roles.length; thread++) {
      if (thread === (who & 7)) continue;
      const plan = [...schedule.plan, [step, thread] as const];
      explorePlan(explorer, program, { ...schedule, plan }, most, torn);
    }
  }
}

/** Whether some schedule with at most `most` preemptions shows that compare-and-swap is broken. */
export function findsTear(
  explorer: Explorer,
  program: S.Program,
  most: number,
): string | undefined {
  try {
    exploreAll(explorer, program, most, true);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
