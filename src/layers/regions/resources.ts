/** Things other than memory that end with a region: the latest first. */
import { notDisposable } from "../pool/errors.ts";
import type { Failures } from "./failures.ts";

interface Resource {
  readonly end: () => unknown;
  /** The end is not over when `end` has returned. */
  readonly waits: boolean;
}

export class Resources {
  readonly #stack: Resource[] = [];

  get count(): number {
    return this.#stack.length;
  }

  /** @throws TypeError when the value is neither Disposable nor AsyncDisposable. */
  use(value: Disposable | AsyncDisposable | null | undefined, waits: boolean): void {
    if (value === null || value === undefined) return;
    const end = waits ? asyncEnd(value) : syncEnd(value);
    const other = waits ? syncEnd(value) : asyncEnd(value);
    if (end) this.#stack.push({ end, waits });
    else if (other) this.#stack.push({ end: other, waits: !waits });
    else throw notDisposable();
  }

  defer(end: () => unknown, waits: boolean): void {
    if (typeof end !== "function") throw new TypeError("defer: the callback must be a function");
    this.#stack.push({ end, waits });
  }

  /** Ends everything in this call; answers whether something had to be left waiting. */
  end(failures: Failures): boolean {
    let waiting = false;
    for (let last = this.#stack.pop(); last; last = this.#stack.pop()) {
      const { end, waits } = last;
      failures.attempt(() => {
        const done = end();
        if (waits) Promise.resolve(done).catch(() => {}); // nobody is left to hear of it
      });
      waiting ||= waits;
    }
    return waiting;
  }

  async destroyAsync(failures: Failures): Promise<void> {
    for (let last = this.#stack.pop(); last; last = this.#stack.pop()) {
      const { end, waits } = last;
      if (waits) await failures.attemptAsync(end);
      else failures.attempt(end);
    }
  }
}

function syncEnd(value: object): (() => unknown) | undefined {
  return methodOf(value, Symbol.dispose);
}

function asyncEnd(value: object): (() => unknown) | undefined {
  return methodOf(value, Symbol.asyncDispose);
}

/** Engines without these symbols have no such methods either. */
function methodOf(value: object, symbol: symbol | undefined): (() => unknown) | undefined {
  const method = symbol && (value as Record<symbol, unknown>)[symbol];
  return typeof method === "function" ? () => method.call(value) : undefined;
}
