/** How often blocks are guarded: a bound in time, whatever a program allocates. */

/** The most that offers become rarer while they come too soon, as a power of two. */
const RARER_LOG = 6;

/**
 * Decides which of the allocations that are offered, one in `every`, may be guarded. An offer that
 * comes too soon after another costs some microseconds for nothing. So in a program that allocates
 * fast the offers become rarer, as long as all of them would be declined, and up to 64 times: with
 * more, a program that slows down would be without guards for too long.
 */
export class Pace {
  readonly #least: number;
  readonly #interval: number;
  #rarer = 0;
  #last = 0;
  #due = 0;

  /** @param mostPerSecond 0 = any number. */
  constructor(every: number, mostPerSecond: number) {
    this.#least = every;
    this.#interval = mostPerSecond === 0 ? 0 : 1000 / mostPerSecond;
  }

  /** From now on one allocation in so many should be offered. */
  get every(): number {
    return this.#least * 2 ** this.#rarer;
  }

  /** Whether an allocation that is offered now may be guarded. */
  isDue(): boolean {
    if (this.#interval === 0) return true;
    const now = performance.now();
    const due = now >= this.#due;
    if (due) this.#due = now + this.#interval;
    // Milliseconds between offers if they were not rarer; 0 if the clock has no finer step.
    const between = (now - this.#last) / 2 ** this.#rarer;
    const wanted = Math.floor(Math.log2((this.#due - now) / between));
    this.#rarer = Math.max(0, Math.min(wanted, RARER_LOG));
    this.#last = now;
    return due;
  }
}
