/** Blocks at random addresses (DieHard: Berger and Zorn, PLDI 2006). */
import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { CountedSource, LargeBlocks } from "./counted-source.ts";
import { orderOf } from "./size-classes.ts";

/** Bytes of the first area of a size. */
const FIRST = 65536;

/** Options of `randomised`. */
export interface RandomisedOptions {
  /**
   * The largest request in bytes that gets a random address; others pass to the source. From 16 to
   * 65536. Default: 16384.
   */
  largest?: number | undefined;
  /** Returns numbers from 0 to below 1. Default: Math.random. */
  random?: (() => number) | undefined;
}

/**
 * Rounds requests up to a power of two and gives them random addresses in areas that are at most
 * half full, so that an overflow or a dangling pointer probably damages no other block. Ignores a
 * `put` of a block that was put before, or of an address that is not a block. Areas double as they
 * fill. Price: at least half of the memory, and locality.
 *
 * @throws TypeError or RangeError unless largest is a whole number from 16 to 65536.
 * @example
 * const pool = pipe(std(heap), randomised());
 */
export function randomised(options: RandomisedOptions = {}): Layer<{
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: true;
  readonly owns: true;
  readonly zeroed: false;
}> {
  checkObject("randomised: options", options);
  const { largest = 16384, random = Math.random } = options;
  checkWhole("randomised: largest", largest, 16, 65536);
  const gives = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
  return (source) => {
    const slots = new RandomSlots(source, largest, random);
    return defineLayer(`randomised(${largest})`, source, gives, {
      get: (n) => slots.get(n),
      put: (ptr, n) => slots.put(ptr, n),
      destroy() {
        slots.clear();
        source.destroy();
      },
      owns: (ptr) => slots.owns(ptr),
      stats: () => slots.counter.stats(),
    });
  };
}

/** `taken.length` slots of 2^order bytes. */
interface Area {
  readonly base: number;
  readonly taken: Uint8Array;
}

interface SizeClass {
  readonly areas: Area[];
  used: number;
  slots: number;
}

class RandomSlots {
  readonly counter = new Counter();
  readonly #classes: SizeClass[] = [];
  readonly #large: LargeBlocks;
  readonly #source: CountedSource;
  readonly #largest: number;
  readonly #random: () => number;

  constructor(source: Pool, largest: number, random: () => number) {
    this.#source = new CountedSource(source, this.counter);
    this.#large = new LargeBlocks(this.#source);
    this.#largest = largest;
    this.#random = random;
    for (let i = 0; i <= orderOf(largest); i++) {
      this.#classes.push({ areas: [], used: 0, slots: 0 });
    }
  }

  get(size: number): number {
    const ptr = size > this.#largest ? this.#large.get(size) : this.#getSmall(orderOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    if (size > this.#largest ? this.#large.put(ptr, size) : this.#putSmall(ptr, orderOf(size))) {
      this.counter.put(size);
    }
  }

  clear(): void {
    this.#classes.forEach((one, order) => {
      for (const { base, taken } of one.areas) this.#source.give(base, taken.length << order);
      this.#classes[order] = { areas: [], used: 0, slots: 0 };
    });
    this.#large.clear();
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    if (this.#large.has(ptr)) return true;
    return this.#classes.some(({ areas }, order) => areaOf(areas, ptr, order) !== undefined);
  }

  /** Finds a free slot in two attempts on average, because half of the slots are free. */
  #getSmall(order: number): number {
    const one = this.#classes[order] as SizeClass;
    if (2 * (one.used + 1) > one.slots && !this.#areaAdd(one, order)) return 0;
    one.used += 1;
    for (;;) {
      let slot = Math.floor(this.#random() * one.slots);
      for (const { base, taken } of one.areas) {
        if (slot < taken.length) {
          if (taken[slot] !== 0) break;
          taken[slot] = 1;
          return base + (slot << order);
        }
        slot -= taken.length;
      }
    }
  }

  #putSmall(ptr: number, order: number): boolean {
    const one = this.#classes[order] as SizeClass;
    const area = areaOf(one.areas, ptr, order);
    const offset = ptr - (area?.base ?? 0);
    if (!area || offset & ((1 << order) - 1) || area.taken[offset >>> order] === 0) return false;
    area.taken[offset >>> order] = 0;
    one.used -= 1;
    return true;
  }

  /** Adds as many slots as there are. */
  #areaAdd(one: SizeClass, order: number): boolean {
    const bytes = Math.max(FIRST, one.slots << order);
    const base = this.#source.take(bytes);
    if (base === 0) return false;
    one.areas.push({ base, taken: new Uint8Array(bytes >>> order) });
    one.slots += bytes >>> order;
    return true;
  }
}

function areaOf(areas: readonly Area[], ptr: number, order: number): Area | undefined {
  return areas.find(({ base, taken }) => ptr >= base && ptr < base + (taken.length << order));
}
