/**
 * Finds races: two plain accesses to a word, one of them a store, without an order between them.
 * Each thread has a clock. It learns of the other threads' clocks at the words that are accessed
 * atomically; an access that a thread cannot know of is not earlier than its own.
 *
 * A program without races behaves the same wherever its plain accesses happen between two atomic
 * ones, so an explorer need not stop threads there.
 *
 * Source: vector clocks (Fidge, Mattern), per access as in Djit (Itzkovitz, Schuster and others).
 */
const THREADS = 3;
/**
 * Of a word, by thread: the last store, the last load, and what an atomic access recorded there.
 */
const STORES = 0;
const LOADS = THREADS;
const LEFT = 2 * THREADS;
const EACH = 3 * THREADS;
/** At the beginning: what each thread knows. */
const HEAD = THREADS * THREADS;

export class Races {
  readonly #clocks: Int32Array;
  readonly #number: number;
  readonly #own: number;

  constructor(buffer: SharedArrayBuffer, number: number) {
    this.#clocks = new Int32Array(buffer);
    this.#number = number;
    this.#own = number * THREADS;
  }

  static bytes(words: number): number {
    return 4 * (HEAD + words * EACH);
  }

  /** Everything before this call is earlier than everything after it. */
  static begin(buffer: SharedArrayBuffer): void {
    const known = new Int32Array(buffer, 0, HEAD);
    const last = Math.max(...known);
    known.fill(last);
    for (let thread = 0; thread < THREADS; thread++) known[thread * THREADS + thread] = last + 1;
  }

  /** A plain access to a word; returns whether it is part of a race. */
  plain(word: number, load: boolean): boolean {
    const at = HEAD + word * EACH;
    const race = this.#unknown(at + STORES) || (!load && this.#unknown(at + LOADS));
    const now = this.#clocks[this.#own + this.#number] as number;
    this.#clocks[at + (load ? LOADS : STORES) + this.#number] = now;
    return race;
  }

  /** An atomic access to a word, which orders. Returns whether it races with a plain one. */
  atomic(word: number, load: boolean): boolean {
    const at = HEAD + word * EACH;
    const race = this.#unknown(at + STORES) || (!load && this.#unknown(at + LOADS));
    for (let i = 0; i < THREADS; i++) {
      const left = this.#clocks[at + LEFT + i] as number;
      if (left > (this.#clocks[this.#own + i] as number)) this.#clocks[this.#own + i] = left;
      else if (!load) this.#clocks[at + LEFT + i] = this.#clocks[this.#own + i] as number;
    }
    if (!load) this.#clocks[this.#own + this.#number]!++;
    return race;
  }

  /** Whether another thread accessed it in a way that this thread cannot know of. */
  #unknown(at: number): boolean {
    for (let i = 0; i < THREADS; i++) {
      if (i === this.#number) continue;
      if ((this.#clocks[at + i] as number) > (this.#clocks[this.#own + i] as number)) return true;
    }
    return false;
  }
}
