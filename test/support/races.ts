/**
 * Finds races: two plain accesses to a word, one of them a store, of which nothing says who is
 * first. Each thread has a clock, and knows of the clocks of the others what it learnt at the words
 * that are accessed atomically; an access that a thread cannot know of is no earlier than its own.
 *
 * Programs without races do the same whenever their plain accesses happen between two atomic ones:
 * that is why an explorer need not stop anybody there.
 *
 * Source: vector clocks (Fidge, Mattern), per access as in Djit (Itzkovitz, Schuster and others).
 */
const THREADS = 3;
/** Of a word, by thread: the last store, the last load, and what an atomic access left there. */
const STORES = 0;
const LOADS = THREADS;
const LEFT = 2 * THREADS;
const EACH = 3 * THREADS;
/** First what each thread knows. */
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

  /** All that was is before all that comes. */
  static begin(buffer: SharedArrayBuffer): void {
    const known = new Int32Array(buffer, 0, HEAD);
    const last = Math.max(...known);
    known.fill(last);
    for (let thread = 0; thread < THREADS; thread++) known[thread * THREADS + thread] = last + 1;
  }

  /** A plain access to a word; whether it is one of a race. */
  plain(word: number, load: boolean): boolean {
    const at = HEAD + word * EACH;
    const race = this.#unknown(at + STORES) || (!load && this.#unknown(at + LOADS));
    const now = this.#clocks[this.#own + this.#number] as number;
    this.#clocks[at + (load ? LOADS : STORES) + this.#number] = now;
    return race;
  }

  /** An atomic access to a word: it orders. Whether it races with a plain one. */
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

  /** Whether another thread did something there that this one cannot know of. */
  #unknown(at: number): boolean {
    for (let i = 0; i < THREADS; i++) {
      if (i === this.#number) continue;
      if ((this.#clocks[at + i] as number) > (this.#clocks[this.#own + i] as number)) return true;
    }
    return false;
  }
}
