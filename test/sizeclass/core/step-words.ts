/**
 * Words of which every access from TypeScript is a step, for the parts of the allocator that are
 * not in the core's dialect: headers and the quarantine. The `Atomics` of this realm is replaced.
 */
import type { VirtualThread } from "../../support/step-thread.js";

/** A stepped view: its words, and the index of the first one in the memory. */
interface Stepped {
  words: Uint32Array;
  base: number;
}

const views = new WeakMap<object, Stepped>();
const real = globalThis.Atomics;

export function steppedWords(words: Uint32Array, thread: VirtualThread): Uint32Array {
  globalThis.Atomics = atomicsOf(thread);
  return viewOf({ words, base: 0 }, thread);
}

function viewOf(view: Stepped, thread: VirtualThread): Uint32Array {
  const { words, base } = view;
  const own: Record<string, unknown> = {
    subarray: (from: number, to: number) =>
      viewOf({ words: words.subarray(from, to), base: base + from }, thread),
    fill(value: number, from = 0, to = words.length) {
      for (let i = from; i < to; i++) store(i, value);
    },
    length: words.length,
  };
  function store(i: number, value: number): boolean {
    thread.plain(base + i, false);
    words[i] = value;
    return true;
  }
  const made = new Proxy(words, {
    get(_, key) {
      const i = Number(String(key));
      if (!Number.isInteger(i)) return own[String(key)];
      thread.plain(base + i, true);
      return words[i];
    },
    set: (_, key, value: number) => store(Number(key), value),
  });
  views.set(made, view);
  return made;
}

/**
 * Repeated attempts at one word are waits for a lock, until the scheduler ends the waiting; then
 * they are not steps any more.
 */
function atomicsOf(thread: VirtualThread): Atomics {
  let [spinsAt, rounds, waits] = [-1, 0, true];
  function at(view: Stepped, i: number, load: boolean): void {
    spinsAt = -1;
    thread.step(view.base + i, load);
  }
  /** A lock that is free is a new attempt, because no other thread runs between two attempts. */
  function lookAt(index: number, isFree: boolean): void {
    if (spinsAt === index && !isFree) waits &&= thread.pause(rounds++);
    else [spinsAt, rounds, waits] = [index, 0, true];
    if (waits) thread.step(index, false);
  }
  const own = {
    load(words: Uint32Array, i: number) {
      const view = views.get(words);
      if (!view) return real.load(words, i);
      at(view, i, true);
      return real.load(view.words, i);
    },
    store(words: Uint32Array, i: number, value: number) {
      const view = views.get(words);
      if (!view) return real.store(words, i, value);
      at(view, i, false);
      return real.store(view.words, i, value);
    },
    compareExchange(words: Uint32Array, i: number, expected: number, value: number) {
      const view = views.get(words);
      if (!view) return real.compareExchange(words, i, expected, value);
      lookAt(view.base + i, view.words[i] === expected);
      const found = real.compareExchange(view.words, i, expected, value);
      if (found === expected) spinsAt = -1;
      return found;
    },
  };
  return Object.assign(Object.create(real), own) as Atomics;
}
