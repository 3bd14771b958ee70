/**
 * Workers that use one heap, as stress.ts describes, and are terminated and replaced. A Worker that
 * ends without being asked to is an error at once: the others would work on for ever, and a test
 * that only waits for one that is gone would seem to hang.
 */
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { SharedHeap } from "#src/heap/shared.js";
import type { Random } from "./random.js";
import * as S from "./stress.js";

const url = new URL("stress-worker.js", import.meta.url);

/** Milliseconds that a Worker may take to end: far more than any machine needs. */
const PATIENCE = Number(process.env.TERRANE_PATIENCE ?? 60) * 1000;

interface Member {
  worker: Worker;
  ended: Promise<void>;
  /** It may end now. */
  mayEnd: boolean;
}

export interface CrewParts {
  heap: SharedHeap;
  words: Int32Array;
  random: Random;
  /** The operation at which the first Worker throws; 0 = none. */
  fault?: number;
}

export class Crew {
  readonly #parts: CrewParts;
  readonly #members: Member[] = [];
  readonly #failure: Promise<never>;
  #reject: (error: Error) => void = () => {};

  constructor(parts: CrewParts, size: number) {
    this.#parts = parts;
    this.#failure = new Promise((_, reject) => {
      this.#reject = reject;
    });
    // The failure may come while nothing awaits it.
    this.#failure.catch(() => {});
    for (let table = 0; table < size; table++) this.#begin(table, parts.fault ?? 0);
  }

  /** Terminates the Worker of a table, at whatever point, and starts another one. */
  async replace(table: number): Promise<void> {
    const member = this.#members[table] as Member;
    member.mayEnd = true;
    await this.#within(member.worker.terminate(), table);
    await this.#within(member.ended, table);
    this.#begin(table, 0);
  }

  /** Waits, unless a Worker fails meanwhile. */
  async rest(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
    await Promise.race([pause, this.#failure]).finally(() => clearTimeout(timer));
  }

  /** Lets all Workers end by themselves. */
  async finish(): Promise<void> {
    for (const member of this.#members) member.mayEnd = true;
    Atomics.store(this.#parts.words, S.WORD_STOP, 1);
    for (const [table, { ended }] of this.#members.entries()) await this.#within(ended, table);
  }

  /** After a failure: stops all Workers. */
  async stop(): Promise<void> {
    for (const member of this.#members) member.mayEnd = true;
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
  }

  #begin(table: number, fault: number): void {
    const { heap, words, random } = this.#parts;
    const rest = { words: words.buffer as SharedArrayBuffer, table, operations: 0 };
    const task = { ...rest, seed: random.u32(), fault: table === 0 ? fault : 0 };
    const worker = heap.startWorker(
      (handle) => new Worker(url, { workerData: { handle, ...task } }),
    );
    worker.on("error", (error) => this.#fail(table, (error as Error)?.stack ?? String(error)));
    const ended = new Promise<void>((resolve) => {
      worker.on("exit", (code) => {
        if (!member.mayEnd) this.#fail(table, `it ended by itself with ${code}`);
        resolve();
      });
    });
    const member = { worker, ended, mayEnd: false };
    this.#members[table] = member;
  }

  #fail(table: number, why: string): void {
    this.#reject(new Error(`Worker ${table}, at ${this.#doing(table).what}: ${why}`));
  }

  #within<T>(promise: Promise<T>, table: number): Promise<T> {
    const timer = setTimeout(() => void this.#giveUp(table), PATIENCE);
    return Promise.race([promise, this.#failure]).finally(() => clearTimeout(timer));
  }

  /** A thread that does not end keeps the process alive: only an abort prints the reason. */
  async #giveUp(table: number): Promise<void> {
    writeSync(2, `Worker ${table} does not end.\n${await this.picture()}\n`);
    process.abort();
  }

  #doing(table: number): { count: number; what: string } {
    const word = this.#parts.words[S.WORD_DOING + table] as number;
    return { count: word >>> 3, what: S.DOING[word & 7] ?? "?" };
  }

  /** What each Worker is doing, and whether it still makes progress. */
  async picture(): Promise<string> {
    const before = this.#members.map((_, table) => this.#doing(table));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return before
      .map(({ count }, table) => {
        const now = this.#doing(table);
        const moves = now.count !== count ? `goes on, ${now.count - count} a second` : "stands";
        return `  Worker ${table}: ${moves}, at ${now.what}`;
      })
      .join("\n");
  }
}
