/**
 * The current value of a thread: it follows `await` where the platform has AsyncLocalStorage, and
 * lasts for one synchronous call elsewhere. Node's module is looked up at run time and not
 * imported, so that browsers can load this file.
 */

/** The part of AsyncLocalStorage that is used. */
interface Store<T> {
  getStore(): T | undefined;
  run<R>(value: T, call: () => R): R;
  enterWith(value: T): void;
}

/** The replacement on platforms without async context. */
class SyncStore<T> implements Store<T> {
  #value: T | undefined;

  getStore(): T | undefined {
    return this.#value;
  }

  enterWith(value: T): void {
    this.#value = value;
  }

  run<R>(value: T, call: () => R): R {
    const outer = this.#value;
    this.#value = value;
    try {
      return call();
    } finally {
      this.#value = outer;
    }
  }
}

/** Node from 20.16 on, Deno and Bun have getBuiltinModule. */
export function contextCreate<T>(): { readonly store: Store<T>; readonly crossesAwait: boolean } {
  const hooks = globalThis.process?.getBuiltinModule?.("node:async_hooks");
  if (!hooks) return { store: new SyncStore<T>(), crossesAwait: false };
  return { store: new hooks.AsyncLocalStorage<T>(), crossesAwait: true };
}
