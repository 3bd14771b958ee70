/** Blocks that are freed together. */

import {
  defineLayer,
  type Over,
  type Pool,
  roundToGranules,
  type Traits,
  type TraitsWith,
} from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { Bump, OWN_SHARE } from "./bump.ts";

/** The state of a zone at one moment, for `release`. */
export interface ZoneMark {
  /** Number of blocks that the zone had from its source. */
  readonly blocks: number;
  /** Bytes that were in use. */
  readonly bytes: number;
  /** Address of the next block. */
  readonly at: number;
  /** Address of the end of the current chunk. */
  readonly end: number;
}

/** What a zone has besides the calls of a pool. */
export interface ZoneCalls {
  /** The state of the zone now. */
  mark(): ZoneMark;
  /** Frees every block that was allocated since `mark`. Marks that were made since are invalid. */
  release(mark: ZoneMark): void;
}

/** What the pools of `zone` guarantee. */
export type ZoneTraits = TraitsWith<16, "sized" | "drops" | "owns">;

const gives: ZoneTraits = {
  alignment: 16,
  sized: true,
  drops: true,
  owns: true,
  zeroed: false,
};

/**
 * Gives blocks one after the other from chunks of `bytes`. `put` frees nothing; `destroy` frees all
 * blocks, and `release` those since a mark (like an obstack).
 *
 * @param bytes of a chunk. Default: 16384.
 * @throws TypeError or RangeError unless bytes is a whole number from 64 to 2^30.
 * @example
 * const frame = pipe(std(heap), zone());
 * const mark = frame.mark();
 * frame.get(100);
 * frame.release(mark);
 */
export function zone(bytes = 16384) {
  checkWhole("zone: bytes", bytes, 64, 2 ** 30);
  const chunk = roundToGranules(bytes);
  const small = Math.floor(bytes / OWN_SHARE);
  return <T extends Traits>(source: Pool<T>): Pool<Over<T, ZoneTraits>> & ZoneCalls => {
    const area = new Area(source, chunk, small);
    const pool = defineLayer(`zone(${bytes})`, source, gives, {
      get: (size) => area.get(size),
      put() {
        area.counter.frees += 1; // the bytes stay in use until release or destroy
      },
      destroy() {
        area.clear();
        source.destroy();
      },
      owns: (ptr) => area.owns(ptr),
      stats: () => area.stats(),
    });
    const calls = { mark: () => area.mark(), release: (mark: ZoneMark) => area.release(mark) };
    return Object.assign(pool, calls);
  };
}

class Area extends Bump {
  readonly counter = new Counter();
  readonly #small: number;

  /** Requests above `small` bytes get blocks of their own. */
  constructor(source: Pool, chunk: number, small: number) {
    super(source, chunk);
    this.#small = small;
  }

  /** Requests of 0 bytes get 16, so that no two blocks have one address. */
  override get(size: number): number {
    const ptr = this.at;
    const end = ptr + ((size + 15) & ~15 || 16);
    if (size > this.#small || end > this.end) return this.#getElsewhere(size);
    this.at = end;
    this.counter.allocations += 1;
    this.counter.bytes += size;
    return ptr;
  }

  mark(): ZoneMark {
    const { taken, at, end } = this;
    return { blocks: taken.length, bytes: this.counter.bytes, at, end };
  }

  release(mark: ZoneMark): void {
    this.#peakRaise();
    this.cut(mark.blocks);
    this.at = mark.at;
    this.end = mark.end;
    this.counter.bytes = mark.bytes;
  }

  override clear(): void {
    this.#peakRaise();
    super.clear();
    this.counter.drop();
  }

  stats() {
    this.#peakRaise();
    this.counter.taken = this.bytes;
    return this.counter.stats();
  }

  #getElsewhere(size: number): number {
    const rounded = roundToGranules(size);
    const ptr = size > this.#small ? this.own(rounded) : super.get(rounded);
    if (ptr === 0) return 0;
    this.counter.allocations += 1;
    this.counter.bytes += size;
    return ptr;
  }

  /** Bytes only grow until a release or clear, so the peak is compared only then. */
  #peakRaise(): void {
    this.counter.peak = Math.max(this.counter.peak, this.counter.bytes);
  }
}
