/** The errors of several steps that all must be made, thrown as one. */

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

  /** Makes a step; an error of it is kept until `throwIfAny`. */
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

  /** Throws the only error, or a SuppressedError of all, the latest first. */
  throwIfAny(): void {
    if (this.#failed) throw this.#error;
  }
}
