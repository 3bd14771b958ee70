/** Blocks that are freed together. */

import {
  defineLayer,
  type Over,
  type Pool,
  roundToGranules,
  type Traits,
} from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { Bump, OWN_SHARE } from "../sources/bump.ts";

/** A point in the life of a zone. */
export interface ZoneMark {
  readonly blocks: number;
  readonly bytes: number;
  readonly at: number;
  readonly end: number;
}

export interface ZoneCalls {
  /** Where the zone stands now. */
  mark(): ZoneMark;
  /** Frees every block that was got since `mark`; marks taken since then are void. */
  release(mark: ZoneMark): void;
}

export interface ZoneTraits {
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: true;
  readonly owns: true;
  readonly zeroed: false;
}

const gives: ZoneTraits = {
  alignment: 16,
  sized: true,
  drops: true,
  owns: true,
  zeroed: false,
};

/**
 * Gives blocks one behind the other from chunks of `bytes`. put frees nothing; blocks go
 * together, by destroy or back to a mark (an obstack).
 *
 * @throws RangeError unless bytes is 64 to 2^30.
 * @example
 * const frame = pipe(std(heap), zone());
 * const mark = frame.mark();
 * frame.get(100);
 * frame.release(mark);
 */
export function zone(bytes = 16384) {
  checkWhole("zone: bytes", bytes, 64, 2 ** 30);
  return <T extends Traits>(source: Pool<T>): Pool<Over<T, ZoneTraits>> & ZoneCalls => {
    const area = new Area(source, bytes);
    const pool = defineLayer(`zone(${bytes})`, source, gives, {
      get: (size) => area.get(size),
      put() {
        area.counter.frees += 1; // the bytes stay in use until the zone goes
      },
      destroy() {
        area.clear();
        source.destroy();
      },
      owns: (ptr) => area.owns(ptr),
      stats: () => area.stats(),
    });
    const verbs = { mark: () => area.mark(), release: (mark: ZoneMark) => area.release(mark) };
    return Object.assign(pool, verbs);
  };
}

class Area extends Bump {
  readonly counter = new Counter();
  readonly #small: number;

  constructor(source: Pool, bytes: number) {
    super(source, roundToGranules(bytes));
    this.#small = Math.floor(bytes / OWN_SHARE);
  }

  /** Requests of 0 bytes get 16, so that no two blocks are one. */
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

  /** Bytes only grow until a release or clear, so that the peak need not be looked at before. */
  #peakRaise(): void {
    this.counter.peak = Math.max(this.counter.peak, this.counter.bytes);
  }
}
