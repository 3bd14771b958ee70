/** Arenas whose blocks are halves of each other, for the layer buddy. */
import type { Memory, Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { CountedSource, LargeBlocks } from "./counted-source.ts";
import { orderOf } from "./size-classes.ts";

export const ARENA = 65536;
/** The order of an arena. */
const LARGEST = 16;

function arenaOf(ptr: number): number {
  return ptr - (ptr % ARENA);
}

export class BuddyArenas {
  readonly counter = new Counter();
  /**
   * For each arena by its address, a byte for each 16 bytes: the order of the free block that
   * begins there, else 0.
   */
  readonly #arenas = new Map<number, Uint8Array>();
  readonly #large: LargeBlocks;
  /** First free block of each order; next and previous are the first two words of a block. */
  readonly #free = new Array<number>(LARGEST + 1).fill(0);
  readonly #source: CountedSource;
  readonly #memory: Memory;

  constructor(source: Pool) {
    this.#source = new CountedSource(source, this.counter);
    this.#large = new LargeBlocks(this.#source);
    this.#memory = source.memory;
  }

  get(size: number): number {
    const ptr = size > ARENA ? this.#large.get(size) : this.#getSmall(orderOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size > ARENA) this.#large.put(ptr, size);
    else this.#putSmall(ptr, orderOf(size));
  }

  clear(): void {
    for (const base of this.#arenas.keys()) this.#source.give(base, ARENA);
    this.#arenas.clear();
    this.#large.clear();
    this.#free.fill(0);
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    return this.#arenas.has(arenaOf(ptr)) || this.#large.has(ptr);
  }

  #getSmall(order: number): number {
    let from = order;
    while (from < LARGEST && this.#free[from] === 0) from += 1;
    const ptr = (this.#free[from] as number) || this.#arenaNew();
    if (ptr === 0) return 0;
    this.#unlink(ptr, from);
    while (from > order) {
      from -= 1;
      this.#push(ptr + (1 << from), from);
    }
    return ptr;
  }

  #putSmall(ptr: number, order: number): void {
    const base = arenaOf(ptr);
    const marks = this.#arenas.get(base) as Uint8Array;
    let at = ptr - base;
    let joined = order;
    while (joined < LARGEST && marks[(at ^ (1 << joined)) >>> 4] === joined) {
      this.#unlink(base + (at ^ (1 << joined)), joined);
      at &= ~(1 << joined);
      joined += 1;
    }
    // One empty arena stays: else a program with one block would take and give it all the time.
    if (joined === LARGEST && this.#arenas.size > 1) this.#arenaGive(base);
    else this.#push(base + at, joined);
  }

  /** A new arena, as a free block of the largest order. */
  #arenaNew(): number {
    const base = this.#source.take(ARENA);
    if (base === 0) return 0;
    this.#arenas.set(base, new Uint8Array(ARENA >>> 4));
    this.#push(base, LARGEST);
    return base;
  }

  #arenaGive(base: number): void {
    this.#arenas.delete(base);
    this.#source.give(base, ARENA);
  }

  #push(ptr: number, order: number): void {
    const words = this.#memory.u32();
    const first = this.#free[order] as number;
    words[ptr >>> 2] = first;
    words[(ptr >>> 2) + 1] = 0;
    if (first !== 0) words[(first >>> 2) + 1] = ptr;
    this.#free[order] = ptr;
    this.#mark(ptr, order);
  }

  #unlink(ptr: number, order: number): void {
    const words = this.#memory.u32();
    const next = words[ptr >>> 2] as number;
    const previous = words[(ptr >>> 2) + 1] as number;
    if (next !== 0) words[(next >>> 2) + 1] = previous;
    if (previous !== 0) words[previous >>> 2] = next;
    else this.#free[order] = next;
    this.#mark(ptr, 0);
  }

  #mark(ptr: number, order: number): void {
    const marks = this.#arenas.get(arenaOf(ptr)) as Uint8Array;
    marks[(ptr % ARENA) >>> 4] = order;
  }
}
