/** The live blocks of a measuring pass, in one thread or shared by threads. */
import { GRANULES, Granules } from "./granules.ts";

/** Requested bytes of live blocks, and their peak. */
interface ByteCounter {
  change(by: number): void;
  readonly peak: number;
}

/** Arrays are indexed by slot. */
export interface LiveBlocks {
  readonly pointers: Uint32Array;
  readonly sizes: Uint32Array;
  /** ID of the slot's live block; 0 if there is none. */
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
 * ---- shared by threads --------------------------------------------------------------------------
 */

/** The memory of live blocks that threads share; it can be sent to Workers. */
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

export function liveBlocksMemory(slots: number): LiveBlocksMemory {
  return {
    pointers: sharedWords(slots),
    sizes: sharedWords(slots),
    ids: sharedWords(slots),
    seen: new Uint8Array(new SharedArrayBuffer(GRANULES)),
    live: sharedWords(2),
  };
}

/**
 * A thread's view of shared live blocks. Slots need no atomics: a thread waits for the operation
 * before its own on the same block.
 */
export function liveBlocksOver({ pointers, sizes, ids, seen, live }: LiveBlocksMemory): LiveBlocks {
  return { pointers, sizes, ids, granules: new Granules(seen), live: new SharedByteCount(live) };
}

/** Live blocks in one linear memory have less than 4 GiB, so a word is enough. */
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
