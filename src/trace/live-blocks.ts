/** What a measuring pass knows of live blocks: in one thread, or in threads that share it. */
import { GRANULES, Granules } from "./granules.ts";

/** Requested bytes of live blocks, and the most that they have been. */
interface ByteCounter {
  change(by: number): void;
  readonly peak: number;
}

export interface LiveBlocks {
  /** Each by slot. */
  readonly pointers: Uint32Array;
  readonly sizes: Uint32Array;
  /** ID of the slot's live block, 0 = none. */
  readonly ids: Uint32Array;
  readonly granules: Granules;
  readonly live: ByteCounter;
}

export function liveBlocksCreate(slots: number): LiveBlocks {
  return {
    pointers: new Uint32Array(slots),
    sizes: new Uint32Array(slots),
    ids: new Uint32Array(slots),
    granules: new Granules(),
    live: new ByteCount(),
  };
}

class ByteCount implements ByteCounter {
  peak = 0;
  #bytes = 0;

  change(by: number): void {
    this.#bytes += by;
    this.peak = Math.max(this.peak, this.#bytes);
  }
}

/*
 * ---- books of threads ---------------------------------------------------------------------------
 */

/** The memory of shared books: can be sent to Workers. */
export interface LiveBlocksMemory {
  readonly pointers: Uint32Array;
  readonly sizes: Uint32Array;
  readonly ids: Uint32Array;
  readonly seen: Uint8Array;
  /** Live bytes and their peak. */
  readonly live: Uint32Array;
}

export function sharedWords(count: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(count * 4));
}

export function boardCreate(slots: number): LiveBlocksMemory {
  return {
    pointers: sharedWords(slots),
    sizes: sharedWords(slots),
    ids: sharedWords(slots),
    seen: new Uint8Array(new SharedArrayBuffer(GRANULES)),
    live: sharedWords(2),
  };
}

/**
 * One thread's books over a board. Slots need no atomics: who has an operation on a block has
 * waited for the one before.
 */
export function liveBlocksOver({ pointers, sizes, ids, seen, live }: LiveBlocksMemory): LiveBlocks {
  return { pointers, sizes, ids, granules: new Granules(seen), live: new SharedByteCount(live) };
}

/** Live blocks of one linear memory have less than 4 GiB, so a word is enough. */
class SharedByteCount implements ByteCounter {
  readonly #words: Uint32Array;

  constructor(words: Uint32Array) {
    this.#words = words;
  }

  get peak(): number {
    return Atomics.load(this.#words, 1);
  }

  change(by: number): void {
    const now = (Atomics.add(this.#words, 0, by) + by) >>> 0;
    let peak = this.peak;
    while (now > peak) peak = Atomics.compareExchange(this.#words, 1, peak, now);
  }
}
