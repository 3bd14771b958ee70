/** Frees that a program puts off until an allocation has a moment for them. */

/**
 * Called now and then from inside allocations, to free what the program has put off; `force`:
 * memory is out. `heartbeat` counts the calls.
 */
export type DeferredFree = (force: boolean, heartbeat: number) => void;

/** Guarded allocations from one call to the next. */
const BEAT = 128;

export class Deferred {
  free: DeferredFree | undefined;
  #requests = 0;
  #beats = 0;
  #running = false;

  /** An allocation comes. */
  beat(): void {
    if (this.free && ++this.#requests % BEAT === 0) this.run(false);
  }

  /** Whether it has been called: what it allocates itself does not call it again. */
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

  /** Tries again once what was put off is free. */
  attempt(get: () => number): number {
    return get() || (this.run(true) ? get() : 0);
  }
}
