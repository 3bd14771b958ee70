/** Runs programs of virtual threads through all schedules of a kind; see schedule.ts. */
import { once } from "node:events";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { Races } from "./races.js";
import * as S from "./schedule.js";

const THREADS_MAX = 3;

/** Preemptions of a run: at a step, another thread becomes the running one. */
export type Plan = readonly (readonly [step: number, thread: number])[];

export interface Schedule {
  /** The thread that runs first. */
  first: number;
  plan: Plan;
  /** Use a random plan: preempt at one in `oneIn` steps. */
  seed?: number;
  oneIn?: number;
  /** What a thread does that finds a lock held: S.WAITS, HURRIES, EITHER. Default: waits. */
  haste?: number;
}

export interface Outcome {
  steps: number;
  /** The thread of each step, with MATTERS. */
  history: Int32Array;
  /** Whether a thread reached its death; `dead` has one bit for each that did. */
  died: boolean;
  dead: number;
}

/** Before which of its steps each thread dies; undefined or NO_THREAD: it does not die. */
export type Deaths = readonly number[];

interface ExplorerSetting {
  /** The Worker's module, and its data beside the schedule. */
  worker: URL;
  workerData: object;
  /** Words of the memory; whether races are searched there. */
  words: number;
  races: boolean;
}

/** A kind of subject: how a run begins, and the checks after it. */
export abstract class Explorer<P extends S.ProgramOf<never>> {
  protected readonly ctl = new Int32Array(new SharedArrayBuffer(S.CONTROL_WORDS * 4));
  readonly programs: readonly P[];
  readonly #access: Uint8Array;
  readonly #clocks: SharedArrayBuffer | undefined;
  readonly #workers: Worker[] = [];
  readonly #ports: MessageChannel["port1"][] = [];
  #sequence = 0;
  runs = 0;

  constructor(
    programs: readonly P[],
    { worker: url, workerData: more, words, races }: ExplorerSetting,
  ) {
    this.programs = programs;
    this.#access = new Uint8Array(new SharedArrayBuffer(words));
    if (races) this.#clocks = new SharedArrayBuffer(Races.bytes(words));
    const shared = { control: this.ctl.buffer, access: this.#access.buffer, clocks: this.#clocks };
    for (let number = 0; number < THREADS_MAX; number++) {
      const { port1, port2 } = new MessageChannel();
      const workerData = { ...more, ...shared, number, port: port2 };
      const worker = new Worker(url, { workerData, transferList: [port2] });
      worker.unref();
      this.#workers.push(worker);
      this.#ports.push(port1);
    }
  }

  /** Sets everything to the state in which a run begins. */
  protected abstract begin(program: P, torn: boolean): void;
  /** Lets the living threads end, in order, and checks that only what a death may leave is left. */
  protected abstract end(program: P, died: boolean): void;
  /** The name of a word, for the message about a race. */
  protected wordName(index: number): string {
    return `word ${index}`;
  }

  /** The threads that have died in this run, one bit each. */
  protected get dead(): number {
    return Atomics.load(this.ctl, S.DEAD);
  }

  /** Forgets what was learnt of a program's words. */
  forget(): void {
    this.#access.fill(0);
  }

  /** Number of words that are known to be in conflict. */
  get conflicts(): number {
    return Atomics.load(this.ctl, S.CONFLICTS);
  }

  /** The Workers end by themselves: Node 24 crashed where they were terminated in Atomics.wait. */
  async close(): Promise<void> {
    const exits = this.#workers.map((worker) => once(worker, "exit"));
    this.#set(S.COMMAND, S.QUIT);
    Atomics.notify(this.ctl, S.COMMAND);
    await Promise.all(exits);
    for (const port of this.#ports) port.close();
  }

  /** One run with a fresh memory; throws what failed, with the schedule. */
  run(program: P, schedule: Schedule, torn = false, death: number | Deaths = []): Outcome {
    const deaths = typeof death === "number" ? [death] : death;
    this.runs += 1;
    try {
      this.#schedule(program, schedule, torn, deaths);
      this.begin(program, torn);
      const threads = program.roles.length;
      for (let role = 0; role < threads; role++) this.#command(S.BEGIN, role, 1);
      if (this.#clocks) Races.begin(this.#clocks);
      this.#set(S.TURN, schedule.first);
      this.#command(S.RUN, S.ALL, threads);
      const outcome = this.#outcome();
      this.#checkRun();
      this.end(program, outcome.died);
      return outcome;
    } catch (error) {
      const recording = { program: program.name, ...schedule, torn, deaths };
      const text = `${program.name}: ${(error as Error).message}\n  ${recordingText(recording)}`;
      throw new Error(text, { cause: error });
    }
  }

  #schedule(program: P, schedule: Schedule, torn: boolean, deaths: Deaths): void {
    this.ctl.fill(0, S.STEPS, S.COMMAND);
    this.ctl.fill(0, S.PROGRAM, S.CONFLICTS);
    this.ctl.fill(0, S.HASTE, S.PLAN);
    this.#set(S.PROGRAM, this.programs.indexOf(program));
    this.#set(S.THREADS, program.roles.length);
    this.#set(S.TORN, torn ? 1 : 0);
    for (let i = 0; i < THREADS_MAX; i++) this.#set(S.DEATH + i, deaths[i] ?? S.NO_THREAD);
    this.#set(S.SEED, schedule.seed ?? 0);
    this.#set(S.ONE_IN, schedule.oneIn ?? 0);
    this.#set(S.HASTE, schedule.haste ?? S.WAITS);
    this.ctl.set([...schedule.plan.flat(), -1], S.PLAN);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.ctl, word, value);
  }

  /** Runs the end of a role. */
  protected endRole(role: number): void {
    this.#command(S.END, role, 1);
  }

  #command(phase: number, role: number, replies: number): void {
    this.#set(S.REPLIES, 0);
    this.#sequence = (this.#sequence + 1) & 0xfffff;
    const threads = Atomics.load(this.ctl, S.THREADS);
    this.#set(S.COMMAND, (this.#sequence << 11) | (threads << 8) | (phase << 4) | role);
    Atomics.notify(this.ctl, S.COMMAND);
    for (let have = 0; have < replies; have = Atomics.load(this.ctl, S.REPLIES)) {
      const waited = Atomics.wait(this.ctl, S.REPLIES, have, 60000);
      if (waited === "timed-out") throw new Error("the threads do not end");
    }
    if (Atomics.load(this.ctl, S.FAILED) !== 0) throw new Error(this.#failure());
  }

  #failure(): string {
    for (const port of this.#ports) {
      const message = receiveMessageOnPort(port);
      if (message) return String(message.message);
    }
    return "a thread failed without a message";
  }

  #checkRun(): void {
    const race = Atomics.load(this.ctl, S.RACE);
    if (race !== 0) throw new Error(`a race at ${this.wordName(race - 1)}`);
    if (Atomics.load(this.ctl, S.STARVED) !== 0) throw new Error("a lock is never released");
  }

  #outcome(): Outcome {
    const steps = Math.min(Atomics.load(this.ctl, S.STEPS), S.HISTORY_MAX);
    const history = this.ctl.slice(S.HISTORY, S.HISTORY + steps);
    return { steps, history, died: this.dead !== 0, dead: this.dead };
  }
}

/** A run that can be repeated: TERRANE_SCHEDULE takes what a failure prints. */
interface Recording extends Schedule {
  program: string;
  torn?: boolean;
  deaths?: Deaths;
}

function recordingText(recording: Recording): string {
  return `again: TERRANE_SCHEDULE='${JSON.stringify(recording)}'`;
}

/** Repeats the run of a recording. */
export function replay<P extends S.ProgramOf<never>>(explorer: Explorer<P>, text: string): Outcome {
  const { program: name, torn, deaths, ...schedule } = JSON.parse(text) as Recording;
  const program = explorer.programs.find((each) => each.name === name);
  if (!program) throw new Error(`no program is called ${name}`);
  return explorer.run(program, schedule, torn, deaths);
}

/** What is the same in every schedule of an exploration. */
export interface Ways {
  /** Break compare-and-swap. */
  torn?: boolean;
  haste?: number;
  /** The first thread dies before this one of its steps. */
  death?: number;
}

/**
 * Runs every schedule of a program with at most `most` preemptions, depth first. Returns whether a
 * thread died in any of them.
 */
export function exploreAll<P extends S.ProgramOf<never>>(
  explorer: Explorer<P>,
  program: P,
  most: number,
  ways: Ways = {},
): boolean {
  explorer.forget();
  let died = false;
  for (let known = -1; known !== explorer.conflicts; ) {
    known = explorer.conflicts;
    for (let first = 0; first < program.roles.length; first++) {
      const schedule = { first, plan: [], haste: ways.haste ?? S.WAITS };
      if (explorePlan(explorer, program, schedule, most, ways)) died = true;
    }
  }
  return died;
}

function explorePlan<P extends S.ProgramOf<never>>(
  explorer: Explorer<P>,
  program: P,
  schedule: Schedule,
  most: number,
  ways: Ways,
): boolean {
  const { steps, history, died } = explorer.run(program, schedule, ways.torn, ways.death);
  if (schedule.plan.length === most) return died;
  let later = false;
  const from = (schedule.plan.at(-1)?.[0] ?? -1) + 1;
  for (let step = from; step < steps; step++) {
    const access = history[step] as number;
    if ((access & S.MATTERS) === 0) continue;
    for (let thread = 0; thread < program.roles.length; thread++) {
      if (thread === (access & 7)) continue;
      const plan = [...schedule.plan, [step, thread] as const];
      if (explorePlan(explorer, program, { ...schedule, plan }, most, ways)) later = true;
    }
  }
  return died || later;
}

/**
 * Whether some schedule with at most `most` preemptions reveals that compare-and-swap is broken.
 */
export function findsTear<P extends S.ProgramOf<never>>(
  explorer: Explorer<P>,
  program: P,
  most: number,
): string | undefined {
  try {
    exploreAll(explorer, program, most, { torn: true });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
