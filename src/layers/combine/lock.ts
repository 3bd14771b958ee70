/** A lock around the calls of a pool. */
import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Layer } from "../pool/contract.ts";
import { checkWord } from "../pool/errors.ts";

/**
 * How a thread waits: "spin" tries again and again, "wait" sleeps, "none" does not lock (for one
 * thread only).
 */
export type LockKind = "spin" | "wait" | "none";

/** Options of `lock`; all threads must pass the same. */
export interface LockOptions {
  /** How a thread waits. Default: "wait". */
  kind?: LockKind | undefined;
  /** Index of the element of `word` that is the lock. Default: 0. */
  index?: number | undefined;
}

const FREE = 0;
const HELD = 1;
const AWAITED = 2; // held, and another thread sleeps

/**
 * Holds a lock during each `get`, `put` and `destroy`. All threads pass the same element of an
 * Int32Array over a SharedArrayBuffer, which is 0 at first. The pool below must keep its state in
 * shared memory: most layers keep theirs in JavaScript objects, which each thread has for itself.
 *
 * "wait" sleeps (a mutex of three states; Drepper, Futexes Are Tricky); where a thread must not
 * sleep, as in the main thread of a browser, it spins. A thread that ends while it holds the lock
 * leaves it held for good.
 *
 * @throws TypeError unless word is an Int32Array, which must lie in shared memory unless kind is
 * "none"; RangeError for an index or a kind that does not exist.
 * @example
 * const word = new Int32Array(new SharedArrayBuffer(4)); // the same in all threads
 * const pool = pipe(source, lock(word), magazines());
 */
export function lock(word: Int32Array, options: LockOptions = {}): Layer<Record<never, never>> {
  checkObject("lock: options", options);
  const { kind = "wait", index = 0 } = options;
  checkWord("lock", word, index, kind !== "none");
  const [acquire, release] = lockOf(kind, word, index);
  return (source) =>
    defineLayer(
      `lock(${kind})`,
      source,
      {},
      {
        get(size) {
          acquire();
          try {
            return source.get(size);
          } finally {
            release();
          }
        },
        put(ptr, size) {
          acquire();
          try {
            source.put(ptr, size);
          } finally {
            release();
          }
        },
        destroy() {
          acquire();
          try {
            source.destroy();
          } finally {
            release();
          }
        },
      },
    );
}

type Lock = readonly [acquire: () => void, release: () => void];

function lockOf(kind: LockKind, word: Int32Array, at: number): Lock {
  if (kind === "none") return [() => {}, () => {}];
  if (kind === "spin") return [() => spin(word, at), () => void Atomics.store(word, at, FREE)];
  if (kind === "wait") return [() => acquireWaiting(word, at), () => releaseWaking(word, at)];
  throw new RangeError(`lock: kind must be "spin", "wait" or "none", not ${String(kind)}`);
}

/** Reads before it writes, so that waiting threads do not compete for the cache line. */
function spin(word: Int32Array, at: number): void {
  while (Atomics.compareExchange(word, at, FREE, HELD) !== FREE) {
    while (Atomics.load(word, at) !== FREE);
  }
}

function acquireWaiting(word: Int32Array, at: number): void {
  if (Atomics.compareExchange(word, at, FREE, HELD) === FREE) return;
  while (Atomics.exchange(word, at, AWAITED) !== FREE) sleep(word, at);
}

function sleep(word: Int32Array, at: number): void {
  try {
    Atomics.wait(word, at, AWAITED);
  } catch {
    // This thread must not sleep: the caller tries again.
  }
}

function releaseWaking(word: Int32Array, at: number): void {
  if (Atomics.exchange(word, at, FREE) === AWAITED) Atomics.notify(word, at, 1);
}
