/** Blocks that are freed together. */
import { Bump, OWN_SHARE } from "./bump.ts";
import { granules, layerOf, type Over, type Pool, type Traits } from "./contract.ts";
import { Counter } from "./counter.ts";
import { checkWhole } from "./errors.ts";

/** A point in the life of a zone. */
export interface ZoneMark {
  readonly blocks: number;
  readonly bytes: number;
  readonly at: number;
  readonly end: number;
}

export interface ZoneVerbs {
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
 * together, by deinit or back to a mark (an obstack).
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
  return <T extends Traits>(source: Pool<T>): Pool<Over<T, ZoneTraits>> & ZoneVerbs => {
    const area = new Area(source, bytes);
    const pool = layerOf(`zone(${bytes})`, source, gives, {
      get: (size) => area.get(size),
      put() {
        area.counter.frees += 1; // the bytes stay in use until the zone goes
      },
      deinit() {
        area.clear();
        source.deinit();
      },
      owns: (ptr) => area.bump.owns(ptr),
      figures: () => area.figures(),
    });
    const verbs = { mark: () => area.mark(), release: (mark: ZoneMark) => area.release(mark) };
    return Object.assign(pool, verbs);
  };
}

class Area {
  readonly bump: Bump;
  readonly counter = new Counter();
  readonly #small: number;

  constructor(source: Pool, bytes: number) {
    this.bump = new Bump(source, granules(bytes));
    this.#small = Math.floor(bytes / OWN_SHARE);
  }

  get(size: number): number {
    const rounded = granules(size);
    const ptr = size > this.#small ? this.bump.own(rounded) : this.bump.get(rounded);
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  mark(): ZoneMark {
    const { taken, at, end } = this.bump;
    return { blocks: taken.length, bytes: this.counter.bytes, at, end };
  }

  release(mark: ZoneMark): void {
    this.bump.cut(mark.blocks);
    this.bump.at = mark.at;
    this.bump.end = mark.end;
    this.counter.bytes = mark.bytes;
  }

  clear(): void {
    this.bump.clear();
    this.counter.drop();
  }

  figures() {
    this.counter.taken = this.bump.bytes;
    return this.counter.figures();
  }
}
