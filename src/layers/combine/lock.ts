/** One thread at a time. */
import { defineLayer, type Layer } from "../pool/contract.ts";
import { wordCheck } from "../pool/errors.ts";

/** How a thread waits: burning its time, asleep, or not at all (one thread only). */
export type LockKind = "spin" | "wait" | "none";

export interface LockOptions {
  /** Default: "wait". */
  kind?: LockKind | undefined;
  /** Which element of `word` is the lock. Default: 0. */
  index?: number | undefined;
}

const FREE = 0;
const HELD = 1;
const AWAITED = 2; // somebody sleeps

/**
 * Holds a lock during each get, put and destroy. All threads give the same element of an Int32Array
 * over a SharedArrayBuffer, zero at first. The pool below must keep its state in shared memory:
 * most layers keep theirs in JavaScript objects, of which each thread has its own.
 *
 * "wait" sleeps (a mutex of three states; Drepper, Futexes Are Tricky); where a thread may not, as
 * in the main thread of a browser, it spins. A thread that ends while it holds the lock leaves it
 * held for good.
 *
 * @throws TypeError unless word is an Int32Array, over shared memory for a lock that is one.
 * @example
 * const word = new Int32Array(new SharedArrayBuffer(4)); // the same in all threads
 * const pool = pipe(source, lock(word), magazines());
 */
export function lock(word: Int32Array, options: LockOptions = {}): Layer<Record<never, never>> {
  const { kind = "wait", index = 0 } = options;
  wordCheck("lock", word, index, kind !== "none");
  const [take, leave] = verbsOf(kind, word, index);
  return (source) =>
    defineLayer(
      `lock(${kind})`,
      source,
      {},
      {
        get(size) {
          take();
          try {
            return source.get(size);
          } finally {
            leave();
          }
        },
        put(ptr, size) {
          take();
          try {
            source.put(ptr, size);
          } finally {
            leave();
          }
        },
        destroy() {
          take();
          try {
            source.destroy();
          } finally {
            leave();
          }
        },
      },
    );
}

function verbsOf(kind: LockKind, word: Int32Array, at: number): readonly [() => void, () => void] {
  if (kind === "none") return [() => {}, () => {}];
  if (kind === "spin") return [() => spin(word, at), () => void Atomics.store(word, at, FREE)];
  if (kind === "wait") return [() => acquire(word, at), () => release(word, at)];
  throw new RangeError(`lock: kind must be "spin", "wait" or "none", not ${String(kind)}`);
}

/** Looks before it writes, so that waiting threads do not fight for the cache line. */
function spin(word: Int32Array, at: number): void {
  while (Atomics.compareExchange(word, at, FREE, HELD) !== FREE) {
    while (Atomics.load(word, at) !== FREE);
  }
}

function acquire(word: Int32Array, at: number): void {
  if (Atomics.compareExchange(word, at, FREE, HELD) === FREE) return;
  while (Atomics.exchange(word, at, AWAITED) !== FREE) sleep(word, at);
}

function sleep(word: Int32Array, at: number): void {
  try {
    Atomics.wait(word, at, AWAITED);
  } catch {
    // This thread may not sleep: it goes round and asks again.
  }
}

function release(word: Int32Array, at: number): void {
  if (Atomics.exchange(word, at, FREE) === AWAITED) Atomics.notify(word, at, 1);
}
