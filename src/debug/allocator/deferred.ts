/** Frees that a program puts off, and does from inside later allocations. */

/**
 * Called now and then from inside allocations, to free what the program has put off; `force`:
 * memory is out. `heartbeat` counts the calls.
 */
export type DeferredFree = (force: boolean, heartbeat: number) => void;

/** Guarded allocations from one call to the next. */
const BEAT = 128;

/** Calls the function that a program has registered. */
export class Deferred {
  free: DeferredFree | undefined;
  #requests = 0;
  #beats = 0;
  #running = false;

  /** At each guarded allocation. */
  beat(): void {
    if (this.free && ++this.#requests % BEAT === 0) this.run(false);
  }

  /** Calls it, unless this is one of its own allocations. Returns whether it was called. */
  run(force: boolean): boolean {
    if (!this.free || this.#running) return false;
    this.#running = true;
    try {
      this.free(force, ++this.#beats);
    } finally {
      this.#running = false;
    }
    return true;
  }

  /** Tries again once what was put off is freed. */
  attempt(get: () => number): number {
    return get() || (this.run(true) ? get() : 0);
  }
}
