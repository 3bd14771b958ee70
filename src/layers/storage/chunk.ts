/** Carves small blocks from large ones. */

import { defineLayer, type Layer, type Pool, roundToGranules } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { Bump, OWN_SHARE } from "./bump.ts";

/**
 * Takes chunks of `bytes` from its source and gives blocks one after the other. Small blocks that
 * are put are not used again by this layer, but a list above it can use them; `destroy` gives the
 * chunks back. Requests above a quarter of a chunk go to the source, and back to it when put.
 *
 * @param bytes of a chunk. Default: 65536.
 * @throws TypeError or RangeError unless bytes is a whole number from 64 to 2^30.
 * @example
 * const pool = pipe(std(heap), chunk(4096), segregated());
 */
export function chunk(bytes = 65536): Layer<{
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: true;
  readonly owns: true;
}> {
  checkWhole("chunk: bytes", bytes, 64, 2 ** 30);
  const gives = { alignment: 16, sized: true, drops: true, owns: true } as const;
  return (source) => {
    const chunks = new Chunks(source, bytes);
    return defineLayer(`chunk(${bytes})`, source, gives, {
      get: (size) => chunks.get(size),
      put: (ptr, size) => chunks.put(ptr, size),
      destroy() {
        chunks.clear();
        source.destroy();
      },
      owns: (ptr) => chunks.owns(ptr),
      stats: () => chunks.counter.stats(),
    });
  };
}

class Chunks {
  readonly counter = new Counter();
  readonly #bump: Bump;
  /** Sizes of blocks that came from the source as they are. */
  readonly #large = new Map<number, number>();
  #largeBytes = 0;
  readonly #source: Pool;
  readonly #small: number;

  constructor(source: Pool, bytes: number) {
    this.#source = source;
    this.#bump = new Bump(source, roundToGranules(bytes));
    this.#small = Math.floor(bytes / OWN_SHARE);
  }

  get(size: number): number {
    const ptr = size > this.#small ? this.#getLarge(size) : this.#bump.get(roundToGranules(size));
    if (ptr === 0) return 0;
    this.counter.got(size);
    this.counter.taken = this.#bump.bytes + this.#largeBytes;
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size <= this.#small || !this.#large.delete(ptr)) return;
    this.#largeBytes -= size;
    this.counter.give(size);
    this.#source.put(ptr, size);
  }

  clear(): void {
    this.#bump.clear();
    for (const [ptr, size] of this.#large) this.#source.put(ptr, size);
    this.#large.clear();
    this.#largeBytes = 0;
    this.counter.drop();
  }

  owns(ptr: number): boolean {
    return this.#large.has(ptr) || this.#bump.owns(ptr);
  }

  #getLarge(size: number): number {
    const ptr = this.#source.get(size);
    if (ptr === 0) return 0;
    this.#large.set(ptr, size);
    this.#largeBytes += size;
    return ptr;
  }
}
