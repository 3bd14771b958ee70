/**
 * What layers that keep blocks have to do with their source. The verbs of each stand in its own
 * file on purpose: one function that made them for all cost 10 ns a call, since the engine inlines
 * only a call that always leads to the same place.
 */
import type { Pool } from "./contract.ts";
import type { Counter } from "./counter.ts";

/** Trade with the source, in the books. */
export class Trade {
  readonly #source: Pool;
  readonly #counter: Counter;

  constructor(source: Pool, counter: Counter) {
    this.#source = source;
    this.#counter = counter;
  }

  /** A block of the source, or 0. */
  take(bytes: number): number {
    const ptr = this.#source.get(bytes);
    if (ptr !== 0) this.#counter.take(bytes);
    return ptr;
  }

  give(ptr: number, bytes: number): void {
    this.#source.put(ptr, bytes);
    this.#counter.give(bytes);
  }
}

/** Blocks that come from the source and go back to it as they are. */
export class Passing {
  readonly #sizes = new Map<number, number>();
  readonly #trade: Trade;

  constructor(trade: Trade) {
    this.#trade = trade;
  }

  get(size: number): number {
    const ptr = this.#trade.take(size);
    if (ptr !== 0) this.#sizes.set(ptr, size);
    return ptr;
  }

  /** False when the block is none of them; then nothing happens. */
  put(ptr: number, size: number): boolean {
    if (!this.#sizes.delete(ptr)) return false;
    this.#trade.give(ptr, size);
    return true;
  }

  clear(): void {
    for (const [ptr, size] of this.#sizes) this.#trade.give(ptr, size);
    this.#sizes.clear();
  }

  has(ptr: number): boolean {
    return this.#sizes.has(ptr);
  }
}
