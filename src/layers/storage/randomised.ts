/** Blocks at random places (DieHard: Berger and Zorn, PLDI 2006). */
import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { orderOf } from "../pool/sizes.ts";
import { Passing, Trade } from "../pool/trade.ts";

const FIRST = 65536;

export interface RandomisedOptions {
  /** Requests above pass. Default: 16384. */
  largest?: number | undefined;
  /** Numbers from 0 to below 1. Default: Math.random. */
  random?: (() => number) | undefined;
}

/**
 * Rounds requests up to a power of two and places them at random in areas that are at most half
 * full, so that an overflow or a dangling pointer probably hits nobody. Putting a block twice, or
 * one that is none, does nothing. Areas double as they fill. Price: half of the memory at least,
 * and no locality.
 *
 * @throws RangeError unless largest is 16 to 65536.
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
  const { largest = 16384, random = Math.random } = options;
  checkWhole("randomised: largest", largest, 16, 65536);
  const gives = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
  return (source) => {
    const places = new Places(source, largest, random);
    return defineLayer(`randomised(${largest})`, source, gives, {
      get: (n) => places.get(n),
      put: (ptr, n) => places.put(ptr, n),
      destroy() {
        places.clear();
        source.destroy();
      },
      owns: (ptr) => places.owns(ptr),
      stats: () => places.counter.stats(),
    });
  };
}

/** Room for `taken.length` blocks of 2^order bytes. */
interface Area {
  readonly base: number;
  readonly taken: Uint8Array;
}

interface SizeClass {
  readonly areas: Area[];
  used: number;
  slots: number;
}

class Places {
  readonly counter = new Counter();
  readonly #classes: SizeClass[] = [];
  readonly #large: Passing;
  readonly #trade: Trade;
  readonly #largest: number;
  readonly #random: () => number;

  constructor(source: Pool, largest: number, random: () => number) {
    this.#trade = new Trade(source, this.counter);
    this.#large = new Passing(this.#trade);
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
      for (const { base, taken } of one.areas) this.#trade.give(base, taken.length << order);
      this.#classes[order] = { areas: [], used: 0, slots: 0 };
    });
    this.#large.clear();
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    if (this.#large.has(ptr)) return true;
    return this.#classes.some(({ areas }, order) => areaOf(areas, ptr, order) !== undefined);
  }

  /** A free slot is found in two looks on average, because half of them are. */
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

  /** As many slots again as there are. */
  #areaAdd(one: SizeClass, order: number): boolean {
    const bytes = Math.max(FIRST, one.slots << order);
    const base = this.#trade.take(bytes);
    if (base === 0) return false;
    one.areas.push({ base, taken: new Uint8Array(bytes >>> order) });
    one.slots += bytes >>> order;
    return true;
  }
}

function areaOf(areas: readonly Area[], ptr: number, order: number): Area | undefined {
  return areas.find(({ base, taken }) => ptr >= base && ptr < base + (taken.length << order));
}
