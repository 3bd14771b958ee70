/** Free blocks in arrays and not in the blocks (Bonwick and Adams, USENIX 2001). */
import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { classOf, classSize } from "../pool/sizes.ts";
import { Trade } from "../pool/trade.ts";

export interface MagazineOptions {
  /** Blocks in a magazine: what comes and goes at once between this layer and its source. */
  rounds?: number | undefined;
  /** Full magazines of a size that wait in the depot. Beyond, blocks go back. */
  depot?: number | undefined;
  /** Requests above pass. */
  largest?: number | undefined;
}

/**
 * Keeps blocks that were put in two magazines a size, and full magazines in a depot. Unlike a free
 * list it neither reads nor writes blocks that are free, and gives back what is too much: it fits
 * over a lock, a quarantine or memory that others share. Price: 8 bytes of JavaScript for each
 * block it keeps; a fifth of a block at most is lost to size classes.
 *
 * @throws RangeError unless rounds is 1 to 65536, depot a whole number, largest 16 to 2^30.
 * @example
 * const pool = pipe(mmap(heap), slab(), magazines());
 */
export function magazines(
  options: MagazineOptions = {},
): Layer<{ readonly sized: true; readonly zeroed: false }> {
  const { rounds = 32, depot = 16, largest = 4096 } = options;
  checkWhole("magazines: rounds", rounds, 1, 65536);
  checkWhole("magazines: depot", depot, 0);
  checkWhole("magazines: largest", largest, 16, 2 ** 30);
  return (source) => {
    const racks = new Racks(source, { rounds, depot, largest });
    return defineLayer(
      `magazines(${rounds})`,
      source,
      { sized: true, zeroed: false },
      {
        get: (n) => racks.get(n),
        put: (ptr, n) => racks.put(ptr, n),
        destroy() {
          racks.clear();
          source.destroy();
        },
        stats: () => racks.counter.stats(),
      },
    );
  };
}

/** The magazines of one size. The loaded one serves; the previous one is full or empty. */
interface Rack {
  readonly bytes: number;
  loaded: number[];
  previous: number[];
  readonly full: number[][];
}

class Racks {
  readonly counter = new Counter();
  readonly #racks: Rack[] = [];
  readonly #trade: Trade;
  readonly #drops: boolean;
  readonly #limits: Required<Record<keyof MagazineOptions, number>>;

  constructor(source: Pool, limits: Required<Record<keyof MagazineOptions, number>>) {
    this.#trade = new Trade(source, this.counter);
    this.#drops = source.traits.drops;
    this.#limits = limits;
    for (let i = 0; i <= classOf(limits.largest); i++) {
      this.#racks.push({ bytes: classSize(i), loaded: [], previous: [], full: [] });
    }
  }

  get(size: number): number {
    const ptr =
      size > this.#limits.largest ? this.#trade.take(size) : this.#getSmall(classOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size > this.#limits.largest) this.#trade.give(ptr, size);
    else this.#putSmall(this.#racks[classOf(size)] as Rack, ptr);
  }

  clear(): void {
    for (const rack of this.#racks) {
      for (const magazine of [rack.loaded, rack.previous, ...rack.full.splice(0)]) {
        this.#empty(magazine, rack.bytes);
      }
    }
    if (this.#drops) this.counter.drop();
  }

  #getSmall(index: number): number {
    const rack = this.#racks[index] as Rack;
    return rack.loaded.pop() ?? (this.#load(rack) ? (rack.loaded.pop() as number) : 0);
  }

  /** Brings blocks in front, from the previous magazine, the depot or the source. */
  #load(rack: Rack): boolean {
    if (rack.previous.length > 0) this.#swap(rack);
    else if (rack.full.length > 0) rack.loaded = rack.full.pop() as number[];
    else {
      const ptr = this.#trade.take(rack.bytes);
      if (ptr !== 0) rack.loaded.push(ptr);
    }
    return rack.loaded.length > 0;
  }

  #putSmall(rack: Rack, ptr: number): void {
    if (rack.loaded.length === this.#limits.rounds) this.#unload(rack);
    rack.loaded.push(ptr);
  }

  /** Brings an empty magazine in front; a full one behind it moves to the depot, or goes back. */
  #unload(rack: Rack): void {
    if (rack.previous.length > 0) {
      if (rack.full.length < this.#limits.depot) rack.full.push(rack.previous.splice(0));
      else this.#empty(rack.previous, rack.bytes);
    }
    this.#swap(rack);
  }

  #swap(rack: Rack): void {
    const { loaded } = rack;
    rack.loaded = rack.previous;
    rack.previous = loaded;
  }

  #empty(magazine: number[], bytes: number): void {
    for (const ptr of magazine.splice(0)) this.#trade.give(ptr, bytes);
  }
}
