/** Runs programs of virtual threads through all schedules of a kind; see schedule.ts. */
import { once } from "node:events";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { Races } from "./races.js";
import * as S from "./schedule.js";

const THREADS_MAX = 3;

/** Preemptions of a run: at a step, the turn passes to a thread. */
export type Plan = readonly (readonly [step: number, thread: number])[];

export interface Schedule {
  /** Who begins. */
  first: number;
  plan: Plan;
  /** A random plan instead: preempts one in `oneIn` steps. */
  seed?: number;
  oneIn?: number;
  /** What happens where a lock is held: S.WAITS, HURRIES, EITHER. Default: waits. */
  haste?: number;
}

export interface Outcome {
  steps: number;
  /** The thread of each step, with MATTERS. */
  history: Int32Array;
  /** Whether a thread reached its death; bit of each that did. */
  died: boolean;
  dead: number;
}

/** Before which of its steps each thread dies; undefined or NOBODY: it lives. */
export type Deaths = readonly number[];

interface Places {
  /** The Worker's module, and what it is given beside the schedule. */
  worker: URL;
  workerData: object;
  /** Words of the memory; whether races are looked for there. */
  words: number;
  races: boolean;
}

/** One kind of subject: how a run begins and what must hold behind it stand with it. */
export abstract class Explorer<P extends S.ProgramOf<never>> {
  protected readonly ctl = new Int32Array(new SharedArrayBuffer(S.CONTROL_WORDS * 4));
  readonly programs: readonly P[];
  readonly #access: Uint8Array;
  readonly #clocks: SharedArrayBuffer | undefined;
  readonly #workers: Worker[] = [];
  readonly #ports: MessageChannel["port1"][] = [];
  #sequence = 0;
  runs = 0;

  constructor(programs: readonly P[], { worker: url, workerData: more, words, races }: Places) {
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

  /** Everything as a run finds it. */
  protected abstract begin(program: P, torn: boolean): void;
  /** The living end in order; then nothing is left but what a death may leave. */
  protected abstract end(program: P, died: boolean): void;
  /** What a word is, for the message of a race. */
  protected wordName(index: number): string {
    return `word ${index}`;
  }

  /** Bit of each thread that has died in this run. */
  protected get dead(): number {
    return Atomics.load(this.ctl, S.DEAD);
  }

  /** What was learnt of a program's words is forgotten. */
  forget(): void {
    this.#access.fill(0);
  }

  /** How many words are known to be in conflict. */
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

  /** One run from a fresh memory; throws what went wrong, with the schedule. */
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
      this.#judge();
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
    for (let i = 0; i < THREADS_MAX; i++) this.#set(S.DEATH + i, deaths[i] ?? S.NOBODY);
    this.#set(S.SEED, schedule.seed ?? 0);
    this.#set(S.ONE_IN, schedule.oneIn ?? 0);
    this.#set(S.HASTE, schedule.haste ?? S.WAITS);
    this.ctl.set([...schedule.plan.flat(), -1], S.PLAN);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.ctl, word, value);
  }

  /** Has a role run its end. */
  protected endRole(role: number): void {
    this.#command(S.END, role, 1);
  }

  #command(phase: number, role: number, answers: number): void {
    this.#set(S.ANSWERS, 0);
    this.#sequence = (this.#sequence + 1) & 0xfffff;
    const threads = Atomics.load(this.ctl, S.THREADS);
    this.#set(S.COMMAND, (this.#sequence << 11) | (threads << 8) | (phase << 4) | role);
    Atomics.notify(this.ctl, S.COMMAND);
    for (let have = 0; have < answers; have = Atomics.load(this.ctl, S.ANSWERS)) {
      const waited = Atomics.wait(this.ctl, S.ANSWERS, have, 60000);
      if (waited === "timed-out") throw new Error("the threads do not come to an end");
    }
    if (Atomics.load(this.ctl, S.FAILED) !== 0) throw new Error(this.#failure());
  }

  #failure(): string {
    for (const port of this.#ports) {
      const answer = receiveMessageOnPort(port);
      if (answer) return String(answer.message);
    }
    return "a thread failed without a word";
  }

  #judge(): void {
    const race = Atomics.load(this.ctl, S.RACE);
    if (race !== 0) throw new Error(`a race at ${this.wordName(race - 1)}`);
    if (Atomics.load(this.ctl, S.STARVED) !== 0) throw new Error("a lock is never left");
  }

  #outcome(): Outcome {
    const steps = Math.min(Atomics.load(this.ctl, S.STEPS), S.HISTORY_MAX);
    const history = this.ctl.slice(S.HISTORY, S.HISTORY + steps);
    return { steps, history, died: this.dead !== 0, dead: this.dead };
  }
}

/** A run that can be made again: TERRANE_SCHEDULE takes what a failure prints. */
interface Recording extends Schedule {
  program: string;
  torn?: boolean;
  deaths?: Deaths;
}

function recordingText(recording: Recording): string {
  return `again: TERRANE_SCHEDULE='${JSON.stringify(recording)}'`;
}

/** Makes the run of a recording again. */
export function replay<P extends S.ProgramOf<never>>(explorer: Explorer<P>, text: string): Outcome {
  const { program: name, torn, deaths, ...schedule } = JSON.parse(text) as Recording;
  const program = explorer.programs.find((each) => each.name === name);
  if (!program) throw new Error(`no program is called ${name}`);
  return explorer.run(program, schedule, torn, deaths);
}

/** What is the same in every schedule of an exploration. */
export interface Ways {
  /** Compare-and-swap is broken. */
  torn?: boolean;
  haste?: number;
  /** The first thread dies before this step of its own. */
  death?: number;
}

/**
 * Every schedule of a program with at most `most` preemptions, depth first. Answers whether somebody
 * died in any.
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
    const who = history[step] as number;
    if ((who & S.MATTERS) === 0) continue;
    for (let thread = 0; thread < program.roles.length; thread++) {
      if (thread === (who & 7)) continue;
      const plan = [...schedule.plan, [step, thread] as const];
      if (explorePlan(explorer, program, { ...schedule, plan }, most, ways)) later = true;
    }
  }
  return died || later;
}

/** Whether some schedule with at most `most` preemptions shows that compare-and-swap is broken. */
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
