/** The clock of a heap that rests: allocations and frees count time, but only while they happen. */

/** The longest delay of a timer. */
const MILLISECONDS_LIMIT = 2 ** 31 - 1;

/** @throws TypeError or RangeError for what is not a number of milliseconds. */
export function millisecondsCheck(milliseconds: unknown): void {
  if (typeof milliseconds !== "number") {
    throw new TypeError("milliseconds must be a number");
  }
  if (milliseconds >= 0 && milliseconds <= MILLISECONDS_LIMIT) return;
  throw new RangeError(`milliseconds must be from 0 to ${MILLISECONDS_LIMIT}, not ${milliseconds}`);
}

/**
 * Ticks at an interval, and keeps neither the process alive nor the heap: one that nobody else
 * holds is collected, and its timer ends. Returns a function that ends it.
 */
export function timerStart<T extends object>(
  heap: T,
  milliseconds: number,
  tick: (heap: T) => void,
): () => void {
  const held = new WeakRef(heap);
  const timer: unknown = setInterval(() => {
    const here = held.deref();
    if (here) tick(here);
    else stop();
  }, milliseconds);
  const stop = () => clearInterval(timer as number);
  (timer as { unref?(): void }).unref?.(); // a browser's timer is a number
  return stop;
}
