/** Blocks at random places (DieHard: Berger and Zorn, PLDI 2006). */
import { type Layer, layerOf, type Pool } from "./contract.ts";
import { Counter } from "./counter.ts";
import { checkWhole } from "./errors.ts";

const SMALLEST = 4; // 16 bytes
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
    return layerOf(`randomised(${largest})`, source, gives, {
      get: (size) => places.get(size),
      put: (ptr, size) => places.put(ptr, size),
      deinit() {
        places.clear();
        source.deinit();
      },
      owns: (ptr) => places.owns(ptr),
      figures: () => places.counter.figures(),
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
  readonly #large = new Map<number, number>();
  readonly #source: Pool;
  readonly #largest: number;
  readonly #random: () => number;

  constructor(source: Pool, largest: number, random: () => number) {
    this.#source = source;
    this.#largest = largest;
    this.#random = random;
    for (let i = 0; i <= orderOf(largest); i++) {
      this.#classes.push({ areas: [], used: 0, slots: 0 });
    }
  }

  get(size: number): number {
    const ptr = size > this.#largest ? this.#getLarge(size) : this.#getSmall(orderOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    if (size > this.#largest ? this.#putLarge(ptr, size) : this.#putSmall(ptr, orderOf(size))) {
      this.counter.put(size);
    }
  }

  clear(): void {
    this.#classes.forEach((one, order) => {
      for (const { base, taken } of one.areas) this.#source.put(base, taken.length << order);
      this.#classes[order] = { areas: [], used: 0, slots: 0 };
    });
    for (const [ptr, size] of this.#large) this.#source.put(ptr, size);
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
    const base = this.#source.get(bytes);
    if (base === 0) return false;
    one.areas.push({ base, taken: new Uint8Array(bytes >>> order) });
    one.slots += bytes >>> order;
    this.counter.take(bytes);
    return true;
  }

  #getLarge(size: number): number {
    const ptr = this.#source.get(size);
    if (ptr === 0) return 0;
    this.#large.set(ptr, size);
    this.counter.take(size);
    return ptr;
  }

  #putLarge(ptr: number, size: number): boolean {
    if (!this.#large.delete(ptr)) return false;
    this.#source.put(ptr, size);
    this.counter.give(size);
    return true;
  }
}

function orderOf(size: number): number {
  return size <= 16 ? SMALLEST : 32 - Math.clz32(size - 1);
}

function areaOf(areas: readonly Area[], ptr: number, order: number): Area | undefined {
  return areas.find(({ base, taken }) => ptr >= base && ptr < base + (taken.length << order));
}
