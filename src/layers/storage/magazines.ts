/** Free blocks in arrays and not in the blocks (Bonwick and Adams, USENIX 2001). */
import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { CountedSource } from "./counted-source.ts";
import { classOf, classSize } from "./size-classes.ts";

/** Options of `magazines`. */
export interface MagazineOptions {
  /** Blocks in a magazine, from 1 to 65536: a full one goes back at once. Default: 32. */
  rounds?: number | undefined;
  /** Full magazines of each size that the depot keeps; further blocks go back. Default: 16. */
  depot?: number | undefined;
  /** The largest request in bytes that is served from magazines; others pass. Default: 4096. */
  largest?: number | undefined;
}

/**
 * Keeps blocks that were put in two magazines for each size, and full magazines in a depot. Unlike
 * a free list it neither reads nor writes free blocks, and it gives back what exceeds the depot:
 * it fits above a lock, a quarantine, or memory that other threads share. Price: 8 bytes of
 * JavaScript memory for each block that it keeps, and at most a fifth of a block, because there are
 * four sizes for each doubling.
 *
 * @throws TypeError or RangeError unless rounds is a whole number from 1 to 65536, depot one from 0
 * on, and largest one from 16 to 2^30.
 * @example
 * const pool = pipe(mmap(heap), slab(), magazines());
 */
export function magazines(
  options: MagazineOptions = {},
): Layer<{ readonly sized: true; readonly zeroed: false }> {
  checkObject("magazines: options", options);
  const { rounds = 32, depot = 16, largest = 4096 } = options;
  checkWhole("magazines: rounds", rounds, 1, 65536);
  checkWhole("magazines: depot", depot, 0);
  checkWhole("magazines: largest", largest, 16, 2 ** 30);
  return (source) => {
    const classes = new SizeClasses(source, { rounds, depot, largest });
    return defineLayer(
      `magazines(${rounds})`,
      source,
      { sized: true, zeroed: false },
      {
        get: (n) => classes.get(n),
        put: (ptr, n) => classes.put(ptr, n),
        destroy() {
          classes.clear();
          source.destroy();
        },
        stats: () => classes.counter.stats(),
      },
    );
  };
}

/** The magazines of one size. Requests use the loaded one; the previous one is full or empty. */
interface SizeClass {
  readonly bytes: number;
  loaded: number[];
  previous: number[];
  readonly depot: number[][];
}

type Limits = Required<Record<keyof MagazineOptions, number>>;

class SizeClasses {
  readonly counter = new Counter();
  readonly #classes: SizeClass[] = [];
  readonly #source: CountedSource;
  readonly #drops: boolean;
  readonly #limits: Limits;

  constructor(source: Pool, limits: Limits) {
    this.#source = new CountedSource(source, this.counter);
    this.#drops = source.traits.drops;
    this.#limits = limits;
    for (let i = 0; i <= classOf(limits.largest); i++) {
      this.#classes.push({ bytes: classSize(i), loaded: [], previous: [], depot: [] });
    }
  }

  get(size: number): number {
    const ptr =
      size > this.#limits.largest ? this.#source.take(size) : this.#getSmall(classOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size > this.#limits.largest) this.#source.give(ptr, size);
    else this.#putSmall(this.#classes[classOf(size)] as SizeClass, ptr);
  }

  clear(): void {
    for (const one of this.#classes) {
      for (const magazine of [one.loaded, one.previous, ...one.depot.splice(0)]) {
        this.#empty(magazine, one.bytes);
      }
    }
    if (this.#drops) this.counter.drop();
  }

  #getSmall(index: number): number {
    const one = this.#classes[index] as SizeClass;
    return one.loaded.pop() ?? (this.#load(one) ? (one.loaded.pop() as number) : 0);
  }

  /** Loads a magazine with blocks, from the previous one, the depot or the source. */
  #load(one: SizeClass): boolean {
    if (one.previous.length > 0) this.#swap(one);
    else if (one.depot.length > 0) one.loaded = one.depot.pop() as number[];
    else {
      const ptr = this.#source.take(one.bytes);
      if (ptr !== 0) one.loaded.push(ptr);
    }
    return one.loaded.length > 0;
  }

  #putSmall(one: SizeClass, ptr: number): void {
    if (one.loaded.length === this.#limits.rounds) this.#unload(one);
    one.loaded.push(ptr);
  }

  /** Loads an empty magazine; a full previous one moves to the depot, or its blocks go back. */
  #unload(one: SizeClass): void {
    if (one.previous.length > 0) {
      if (one.depot.length < this.#limits.depot) one.depot.push(one.previous.splice(0));
      else this.#empty(one.previous, one.bytes);
    }
    this.#swap(one);
  }

  #swap(one: SizeClass): void {
    const { loaded } = one;
    one.loaded = one.previous;
    one.previous = loaded;
  }

  #empty(magazine: number[], bytes: number): void {
    for (const ptr of magazine.splice(0)) this.#source.give(ptr, bytes);
  }
}
