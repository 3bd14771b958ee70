/** Blocks of one size in slabs that an address tells (Bonwick, USENIX 1994). */
import {
  defineLayer,
  type Layer,
  type Memory,
  type Pool,
  requireAlignment,
  type Traits,
} from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { classOf, classSize } from "../pool/sizes.ts";
import { Passing, Trade } from "../pool/trade.ts";

const SLAB = 65536;

export interface SlabTraits {
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: true;
  readonly owns: true;
  readonly zeroed: false;
}

/**
 * Serves requests of up to `largest` bytes from slabs of 64 KiB, each of blocks of one size; larger
 * ones go to the source. A slab without blocks in use goes back, but for the last of its size.
 * Four sizes a doubling: a fifth of a block is lost at most. Needs a source aligned to 65536.
 *
 * @throws TypeError when the source is aligned to less; RangeError unless largest is 16 to 16384.
 * @example
 * const pool = pipe(slices(wasmMemory()), slab());
 */
export function slab(largest = 4096): Layer<SlabTraits, Traits & { readonly alignment: 65536 }> {
  checkWhole("slab: largest", largest, 16, 16384);
  return (source) => {
    requireAlignment("slab", source, SLAB);
    const slabs = new Slabs(source, largest);
    const gives = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
    return defineLayer(`slab(${largest})`, source, gives, {
      get: (n) => slabs.get(n),
      put: (ptr, n) => slabs.put(ptr, n),
      destroy() {
        slabs.clear();
        source.destroy();
      },
      owns: (ptr) => slabs.owns(ptr),
      stats: () => slabs.counter.stats(),
    });
  };
}

interface Slab {
  readonly base: number;
  /** First block that was put, linked through first words; 0 for none. */
  free: number;
  /** From here on no block was ever given. */
  fresh: number;
  used: number;
}

class Slabs {
  readonly counter = new Counter();
  /** By base. */
  readonly #slabs = new Map<number, Slab>();
  readonly #large: Passing;
  /** For each class, the slabs that have room, the one in use last. */
  readonly #roomy: Slab[][] = [];
  readonly #trade: Trade;
  readonly #memory: Memory;
  readonly #largest: number;

  constructor(source: Pool, largest: number) {
    this.#trade = new Trade(source, this.counter);
    this.#large = new Passing(this.#trade);
    this.#memory = source.memory;
    this.#largest = largest;
    for (let i = 0; i <= classOf(largest); i++) this.#roomy.push([]);
  }

  get(size: number): number {
    const ptr = size > this.#largest ? this.#large.get(size) : this.#getSmall(classOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size <= this.#largest) this.#putSmall(ptr, classOf(size));
    else this.#large.put(ptr, size);
  }

  clear(): void {
    for (const base of this.#slabs.keys()) this.#trade.give(base, SLAB);
    this.#slabs.clear();
    this.#large.clear();
    for (const slabs of this.#roomy) slabs.length = 0;
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    return this.#slabs.has(ptr - (ptr % SLAB)) || this.#large.has(ptr);
  }

  #getSmall(index: number): number {
    const roomy = this.#roomy[index] as Slab[];
    const found = roomy.at(-1) ?? this.#slabNew(roomy);
    if (!found) return 0;
    const ptr = this.#blockTake(found, classSize(index));
    if (isFull(found, classSize(index))) roomy.pop();
    return ptr;
  }

  #blockTake(from: Slab, size: number): number {
    from.used += 1;
    const ptr = from.free;
    if (ptr !== 0) {
      from.free = this.#memory.u32()[ptr >>> 2] as number;
      return ptr;
    }
    from.fresh += size;
    return from.fresh - size;
  }

  #putSmall(ptr: number, index: number): void {
    const to = this.#slabs.get(ptr - (ptr % SLAB)) as Slab;
    const roomy = this.#roomy[index] as Slab[];
    if (isFull(to, classSize(index))) roomy.push(to);
    this.#memory.u32()[ptr >>> 2] = to.free;
    to.free = ptr;
    to.used -= 1;
    if (to.used === 0 && roomy.length > 1) this.#slabGive(roomy, to);
  }

  #slabNew(roomy: Slab[]): Slab | undefined {
    const base = this.#trade.take(SLAB);
    if (base === 0) return undefined;
    const made = { base, free: 0, fresh: base, used: 0 };
    this.#slabs.set(base, made);
    roomy.push(made);
    return made;
  }

  #slabGive(roomy: Slab[], empty: Slab): void {
    roomy.splice(roomy.indexOf(empty), 1);
    this.#slabs.delete(empty.base);
    this.#trade.give(empty.base, SLAB);
  }
}

function isFull({ free, fresh, base }: Slab, size: number): boolean {
  return free === 0 && fresh + size > base + SLAB;
}
