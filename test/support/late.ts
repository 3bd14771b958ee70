/** What late-worker.ts and its test agree on: words that count rounds. */

/** The handle is in the port. */
export const SENT = 0;
/** The Worker receives it now. */
export const RECEIVES = 1;
/** The memory has grown, and the block with the number of the round is there. */
export const GROWN = 2;
export const BLOCK = 3;
/** The Worker has read the block; what it found. */
export const SEEN = 4;
export const VALUE = 5;
export const WORDS = 6;

export function say(words: Int32Array, word: number, round: number): void {
  Atomics.store(words, word, round);
  Atomics.notify(words, word);
}

/** Waits until a word says a round. */
export function hear(words: Int32Array, word: number, round: number): void {
  for (let now = Atomics.load(words, word); now !== round; now = Atomics.load(words, word)) {
    if (Atomics.wait(words, word, now, 60000) === "timed-out") throw new Error("nobody answers");
  }
}
