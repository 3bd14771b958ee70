/** A virtual thread in its Worker: runs during its turns, and ends them as planned. */
import type { MessagePort } from "node:worker_threads";
import { Races } from "./races.js";
import * as S from "./schedule.js";

/** The data of every Worker of an explorer. */
export interface ThreadStart {
  number: number;
  control: SharedArrayBuffer;
  access: SharedArrayBuffer;
  /** For Races; without it plain accesses are not recorded. */
  clocks?: SharedArrayBuffer;
  port: MessagePort;
}

/** Thrown by a step at which the thread dies: it never touches the memory again. */
export class Death extends Error {}

/**
 * How often a thread that waits lets the others go on. The holder of a lock makes one step at least
 * in each round and may be preempted at every step, so only more rounds than any run has steps mean
 * that the lock is never released.
 */
const ROUNDS = 4096;
/** The same after a death: the lock may be that of the dead thread. */
const ROUNDS_AFTER_DEATH = 8;
/** In random plans, plain accesses preempt so much more rarely. */
const RARER = 16;

export class VirtualThread {
  readonly number: number;
  readonly #ctl: Int32Array;
  readonly #access: Uint8Array;
  readonly #races: Races | undefined;
  readonly #port: MessagePort;
  /** Whether a race at a word is intended. */
  readonly #allowed: (index: number) => boolean;
  #scheduled = false;
  #dead = false;
  #ownSteps = 0;
  #accesses = 0;
  #lastLoad = -1;

  constructor(start: ThreadStart, allowed: (index: number) => boolean = () => false) {
    const { number, control, access, clocks, port } = start;
    this.number = number;
    this.#ctl = new Int32Array(control);
    this.#access = new Uint8Array(access);
    this.#races = clocks && new Races(clocks, number);
    this.#port = port;
    this.#allowed = allowed;
  }

  get scheduled(): boolean {
    return this.#scheduled;
  }

  get(word: number): number {
    return Atomics.load(this.#ctl, word);
  }

  /** Before an atomic access. Repeated loads of a word that cannot have changed are one step. */
  step(index: number, load: boolean): void {
    if (!this.#scheduled) return;
    this.#count();
    if (load && index === this.#lastLoad) return;
    this.#lastLoad = load ? index : -1;
    this.#dieAtDeath();
    this.#turnPoint(this.#touch(index, load), 1);
    if (this.#races?.atomic(index, load)) this.#raced(index);
  }

  /** Before a plain access, where races are searched. */
  plain(index: number, load: boolean): void {
    if (!this.#scheduled) return;
    if (!load) this.#dieAtDeath();
    this.#turnPoint(((this.#access[index] as number) & S.RACY) !== 0, RARER);
    if (this.#races?.plain(index, load)) this.#raced(index);
  }

  /** Before a plain store, where they are not searched. */
  store(matters: boolean): void {
    if (!this.#scheduled) return;
    this.#count();
    this.#dieAtDeath();
    if (matters) this.#turnPoint(true, 1);
  }

  /** Before a plain load, where they are not searched. */
  load(): void {
    if (this.#scheduled) this.#count();
  }

  /** An endless loop is a failure like any other. */
  #count(): void {
    if (this.#accesses++ < S.ACCESSES_MAX) return;
    throw new Error(
      `thread ${this.number} is in an endless loop: ${S.ACCESSES_MAX} accesses to memory`,
    );
  }

  /** A lock is held: lets the others run; returns false when this was often enough. */
  pause(rounds: number): boolean {
    if (this.#dead) throw new Death();
    if (!this.#scheduled || this.#hurries()) return false;
    const next = this.#next(this.number + 1);
    const most = this.get(S.DEAD) === 0 ? ROUNDS : ROUNDS_AFTER_DEATH;
    if (rounds < most && next !== this.number) {
      this.#lastLoad = -1;
      this.#accesses = 0;
      this.#passTo(next);
      this.#awaitTurn();
      return true;
    }
    if (most === ROUNDS) Atomics.store(this.#ctl, S.STARVED, 1);
    return false;
  }

  /** Runs a body as planned; other phases run without a plan. */
  run(body: () => void): void {
    this.#awaitTurn();
    this.#ownSteps = 0;
    this.#accesses = 0;
    this.#lastLoad = -1;
    this.#dead = false;
    this.#scheduled = true;
    try {
      body();
    } finally {
      this.#scheduled = false;
      this.#leave();
    }
  }

  /** Follows the explorer's commands until QUIT. */
  serve(obey: (phase: number) => void): void {
    for (let command = 0; ; ) {
      this.#awaitChange(S.COMMAND, command);
      command = this.get(S.COMMAND);
      if (command === S.QUIT) return;
      const role = command & 15;
      // Not S.THREADS: a thread that is late for a command to others must not read the next run's.
      const threads = (command >>> 8) & 7;
      if (role !== this.number && !(role === S.ALL && this.number < threads)) continue;
      this.#guarded(obey, (command >>> 4) & 15);
      Atomics.add(this.#ctl, S.REPLIES, 1);
      Atomics.notify(this.#ctl, S.REPLIES);
    }
  }

  #guarded(obey: (phase: number) => void, phase: number): void {
    try {
      obey(phase);
    } catch (error) {
      if (this.#dead) return;
      Atomics.store(this.#ctl, S.FAILED, 1);
      this.#port.postMessage(String((error as Error).stack));
    } finally {
      this.#dead = false;
    }
  }

  /** Waits for some microseconds, without sleep, until a word changes. */
  #awaitChange(word: number, value: number): void {
    for (let i = 0; i < 300; i++) if (this.get(word) !== value) return;
    while (this.get(word) === value) Atomics.wait(this.#ctl, word, value);
  }

  #awaitTurn(): void {
    for (let turn = this.get(S.TURN); turn !== this.number; turn = this.get(S.TURN)) {
      this.#awaitChange(S.TURN, turn);
    }
  }

  #passTo(thread: number): void {
    Atomics.store(this.#ctl, S.TURN, thread);
    Atomics.notify(this.#ctl, S.TURN);
  }

  /** What runs while a death unwinds the stack accesses no memory either. */
  #dieAtDeath(): void {
    if (this.#dead) throw new Death();
    if (this.#ownSteps++ !== this.#ctl[S.DEATH + this.number]) return;
    Atomics.or(this.#ctl, S.DEAD, 1 << this.number);
    this.#dead = true;
    throw new Death();
  }

  /** Records an access to a word; returns whether the order of threads matters there. */
  #touch(index: number, load: boolean): boolean {
    return this.#note(index, (load ? 1 : 8) << this.number);
  }

  #note(index: number, bit: number): boolean {
    const before = this.#access[index] as number;
    const after = before | bit;
    if (after !== before) {
      this.#access[index] = after;
      const news = bit === S.RACY || (S.inConflict(after) && !S.inConflict(before));
      if (news) Atomics.add(this.#ctl, S.CONFLICTS, 1);
    }
    return S.inConflict(after);
  }

  /** From now on an access there is a step. Called at the first race that is not intended. */
  #raced(index: number): void {
    this.#note(index, S.RACY);
    if (!this.#allowed(index)) Atomics.compareExchange(this.#ctl, S.RACE, 0, index + 1);
  }

  #turnPoint(matters: boolean, rarer: number): void {
    const now = this.#ctl[S.STEPS] as number;
    this.#ctl[S.STEPS] = now + 1;
    if (now < S.HISTORY_MAX) this.#ctl[S.HISTORY + now] = this.number | (matters ? S.MATTERS : 0);
    const next = this.#planned(now, rarer);
    if (next === this.number || next === S.NO_THREAD) return;
    this.#lastLoad = -1;
    this.#passTo(next);
    this.#awaitTurn();
  }

  #lives(thread: number): boolean {
    return thread < this.get(S.THREADS) && ((this.get(S.DONE) >>> thread) & 1) === 0;
  }

  /**
   * The next thread after a step; NO_THREAD = no change. Only the running thread reads these words.
   */
  #planned(now: number, rarer: number): number {
    const ctl = this.#ctl;
    if (ctl[S.ONE_IN] !== 0) return this.#random(rarer);
    for (let i = S.PLAN; (ctl[i] as number) >= 0; i += 2) {
      if (ctl[i] !== now) continue;
      const next = ctl[i + 1] as number;
      return this.#lives(next) ? next : S.NO_THREAD;
    }
    return S.NO_THREAD;
  }

  #random(rarer: number): number {
    const x = this.#draw();
    if (x % ((this.#ctl[S.ONE_IN] as number) * rarer) !== 0) return S.NO_THREAD;
    const thread = (x >>> 16) % (this.#ctl[S.THREADS] as number);
    return this.#lives(thread) ? thread : S.NO_THREAD;
  }

  /** A step of xorshift (Marsaglia). */
  #draw(): number {
    let x = this.#ctl[S.SEED] as number;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#ctl[S.SEED] = x;
    return x >>> 0;
  }

  #hurries(): boolean {
    const haste = this.#ctl[S.HASTE];
    return haste === S.EITHER ? (this.#draw() & 64) !== 0 : haste === S.HURRIES;
  }

  /** The first living thread from a number on, cyclically. */
  #next(from: number): number {
    const threads = this.get(S.THREADS);
    for (let i = 0; i < threads; i++) {
      if (this.#lives((from + i) % threads)) return (from + i) % threads;
    }
    return S.NO_THREAD;
  }

  /** This thread has ended: the next living one runs. */
  #leave(): void {
    Atomics.or(this.#ctl, S.DONE, 1 << this.number);
    this.#passTo(this.#next(0));
  }
}
