/** Slabs of blocks of one size; the address of a block tells its slab (Bonwick, USENIX 1994). */
import {
  defineLayer,
  type Layer,
  type Memory,
  type Pool,
  requireAlignment,
  type Traits,
  type TraitsWith,
} from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { CountedSource, LargeBlocks } from "./counted-source.ts";
import { classOf, classSize } from "./size-classes.ts";

const SLAB = 65536;

/** What the pools of `slab` guarantee. */
export type SlabTraits = TraitsWith<16, "sized" | "drops" | "owns">;

/**
 * Serves requests of up to `largest` bytes from slabs of 64 KiB, each of blocks of one size; larger
 * ones go to the source. A slab without blocks in use goes back to the source, except the last of
 * its size. Needs a source that is aligned to 65536. Price: at most a fifth of a block, because
 * there are four sizes for each doubling.
 *
 * @param largest the largest request in bytes that is served from slabs. Default: 4096.
 * @throws TypeError when the source is aligned to less; TypeError or RangeError unless largest is a
 * whole number from 16 to 16384.
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
  /** First of the blocks that were put, linked through their first words; 0 = none. */
  free: number;
  /** Blocks from this address on were never given. */
  fresh: number;
  used: number;
}

class Slabs {
  readonly counter = new Counter();
  /** By base. */
  readonly #slabs = new Map<number, Slab>();
  readonly #large: LargeBlocks;
  /** For each class, the slabs that have free blocks; the last one serves requests. */
  readonly #partial: Slab[][] = [];
  readonly #source: CountedSource;
  readonly #memory: Memory;
  readonly #largest: number;

  constructor(source: Pool, largest: number) {
    this.#source = new CountedSource(source, this.counter);
    this.#large = new LargeBlocks(this.#source);
    this.#memory = source.memory;
    this.#largest = largest;
    for (let i = 0; i <= classOf(largest); i++) this.#partial.push([]);
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
    for (const base of this.#slabs.keys()) this.#source.give(base, SLAB);
    this.#slabs.clear();
    this.#large.clear();
    for (const slabs of this.#partial) slabs.length = 0;
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    return this.#slabs.has(ptr - (ptr % SLAB)) || this.#large.has(ptr);
  }

  #getSmall(index: number): number {
    const partial = this.#partial[index] as Slab[];
    const found = partial.at(-1) ?? this.#slabNew(partial);
    if (!found) return 0;
    const ptr = this.#blockTake(found, classSize(index));
    if (isFull(found, classSize(index))) partial.pop();
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
    const partial = this.#partial[index] as Slab[];
    if (isFull(to, classSize(index))) partial.push(to);
    this.#memory.u32()[ptr >>> 2] = to.free;
    to.free = ptr;
    to.used -= 1;
    if (to.used === 0 && partial.length > 1) this.#slabGive(partial, to);
  }

  #slabNew(partial: Slab[]): Slab | undefined {
    const base = this.#source.take(SLAB);
    if (base === 0) return undefined;
    const made = { base, free: 0, fresh: base, used: 0 };
    this.#slabs.set(base, made);
    partial.push(made);
    return made;
  }

  #slabGive(partial: Slab[], empty: Slab): void {
    partial.splice(partial.indexOf(empty), 1);
    this.#slabs.delete(empty.base);
    this.#source.give(empty.base, SLAB);
  }
}

function isFull({ free, fresh, base }: Slab, size: number): boolean {
  return free === 0 && fresh + size > base + SLAB;
}
