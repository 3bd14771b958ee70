/** Errors of several steps that all must be taken, thrown as one. */

type Suppressed = new (error: unknown, suppressed: unknown, message?: string) => Error;

/** What DisposableStack throws when more than one step fails; Node 20 has no SuppressedError. */
function suppressedOf(error: unknown, suppressed: unknown): Error {
  const message = `${String(error)}; before that: ${String(suppressed)}`;
  const { SuppressedError } = globalThis as { SuppressedError?: Suppressed };
  if (SuppressedError) return new SuppressedError(error, suppressed, message);
  return Object.assign(new Error(message), { name: "SuppressedError", error, suppressed });
}

export class Failures {
  #failed = false;
  #error: unknown;

  /** Runs a step; what it throws waits for the others. */
  attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.add(error);
    }
  }

  async attemptAsync(step: () => unknown): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.add(error);
    }
  }

  add(error: unknown): void {
    this.#error = this.#failed ? suppressedOf(error, this.#error) : error;
    this.#failed = true;
  }

  /** Throws the one error, or all of them, the latest first. */
  end(): void {
    if (this.#failed) throw this.#error;
  }
}
