/** Things other than memory that end with a region: the latest first. */
import { notDisposable } from "../pool/errors.ts";
import type { Failures } from "./failures.ts";

interface Resource {
  readonly end: () => unknown;
  /** `end` returns a promise that must be awaited. */
  readonly isAsync: boolean;
}

export class Resources {
  readonly #stack: Resource[] = [];

  /** @throws TypeError when the value is neither Disposable nor AsyncDisposable. */
  use(value: Disposable | AsyncDisposable | null | undefined, prefersAsync: boolean): void {
    if (value === null || value === undefined) return;
    const end = prefersAsync ? asyncEnd(value) : syncEnd(value);
    const other = prefersAsync ? syncEnd(value) : asyncEnd(value);
    if (end) this.#stack.push({ end, isAsync: prefersAsync });
    else if (other) this.#stack.push({ end: other, isAsync: !prefersAsync });
    else throw notDisposable();
  }

  defer(end: () => unknown, isAsync: boolean): void {
    if (typeof end !== "function") throw new TypeError("defer: the callback must be a function");
    this.#stack.push({ end, isAsync });
  }

  /** Ends everything without waiting; returns whether a resource ends asynchronously. */
  destroy(failures: Failures): boolean {
    let anyAsync = false;
    for (let last = this.#stack.pop(); last; last = this.#stack.pop()) {
      const { end, isAsync } = last;
      failures.attempt(() => {
        const done = end();
        if (isAsync) Promise.resolve(done).catch(() => {}); // the caller has an error already
      });
      anyAsync ||= isAsync;
    }
    return anyAsync;
  }

  /** Ends everything, each resource after the one before it has ended. */
  async destroyAsync(failures: Failures): Promise<void> {
    for (let last = this.#stack.pop(); last; last = this.#stack.pop()) {
      const { end, isAsync } = last;
      if (isAsync) await failures.attemptAsync(end);
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
