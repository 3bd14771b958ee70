/**
 * What is current in this thread: across awaits where the platform has AsyncLocalStorage, else
 * within one synchronous call. Node's module is asked for at run time and not imported, so that
 * browsers can load this file.
 */

/** What AsyncLocalStorage has of what is needed here. */
interface Store<T> {
  getStore(): T | undefined;
  run<R>(value: T, call: () => R): R;
  enterWith(value: T): void;
}

/** The stand-in for platforms without async context. */
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
