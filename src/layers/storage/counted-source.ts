/**
 * What layers that keep blocks need of their source. The calls of each layer stand in its own file
 * on purpose: one function that made them for all cost 10 ns a call, since the engine inlines only
 * a call that always leads to the same function.
 */
import type { Pool } from "../pool/contract.ts";
import type { Counter } from "../pool/counter.ts";

/** A source whose blocks are counted as `taken`. */
export class CountedSource {
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

/** Blocks that come from the source and go back to it unchanged. */
export class LargeBlocks {
  readonly #sizes = new Map<number, number>();
  readonly #source: CountedSource;

  constructor(source: CountedSource) {
    this.#source = source;
  }

  get(size: number): number {
    const ptr = this.#source.take(size);
    if (ptr !== 0) this.#sizes.set(ptr, size);
    return ptr;
  }

  /** False when the block is not one of them; then nothing happens. */
  put(ptr: number, size: number): boolean {
    if (!this.#sizes.delete(ptr)) return false;
    this.#source.give(ptr, size);
    return true;
  }

  clear(): void {
    for (const [ptr, size] of this.#sizes) this.#source.give(ptr, size);
    this.#sizes.clear();
  }

  has(ptr: number): boolean {
    return this.#sizes.has(ptr);
  }
}
