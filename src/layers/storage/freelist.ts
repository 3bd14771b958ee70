/** Keeps free blocks of one size for later. */

import { checkObject } from "../../common/kinds.ts";
import { defineLayer, type Layer, type Pool, roundToGranules } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { BlockList } from "./block-list.ts";
import { CountedSource } from "./counted-source.ts";

/** Options of `freelist`. */
export interface FreelistOptions {
  /** The most blocks that are kept; 0 keeps none. Default: no bound. */
  bound?: number | undefined;
}

/**
 * Requests of up to `size` bytes get blocks of that size, and blocks that are put are kept in a
 * list for the next request. Larger requests pass to the source.
 *
 * @param size bytes of a block.
 * @throws TypeError or RangeError unless size is a whole number from 1 to 2^30 and bound one from 0
 * on.
 * @example
 * const pool = pipe(std(heap), freelist(64, { bound: 100 }));
 */
export function freelist(
  size: number,
  options: FreelistOptions = {},
): Layer<{ readonly sized: true; readonly zeroed: false }> {
  checkObject("freelist: options", options);
  const { bound = 0x7fffffff } = options;
  checkWhole("freelist: size", size, 1, 2 ** 30);
  checkWhole("freelist: bound", bound, 0);
  const block = roundToGranules(size);
  return (source) => {
    const kept = new KeptBlocks(source, block, bound);
    return defineLayer(
      `freelist(${size})`,
      source,
      { sized: true, zeroed: false },
      {
        get: (n) => kept.get(n),
        put: (ptr, n) => kept.put(ptr, n),
        destroy() {
          kept.clear();
          source.destroy();
        },
        stats: () => kept.counter.stats(),
      },
    );
  };
}

class KeptBlocks {
  readonly counter = new Counter();
  readonly #list: BlockList;
  readonly #source: CountedSource;
  readonly #drops: boolean;
  readonly #block: number;
  readonly #bound: number;

  constructor(source: Pool, block: number, bound: number) {
    this.#source = new CountedSource(source, this.counter);
    this.#drops = source.traits.drops;
    this.#list = new BlockList(source.memory);
    this.#block = block;
    this.#bound = bound;
  }

  get(size: number): number {
    const ptr = (size <= this.#block && this.#list.pop()) || this.#take(size);
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size <= this.#block && this.#list.count < this.#bound) this.#list.push(ptr);
    else this.#source.give(ptr, Math.max(size, this.#block));
  }

  clear(): void {
    for (let ptr = this.#list.pop(); ptr !== 0; ptr = this.#list.pop()) {
      this.#source.give(ptr, this.#block);
    }
    if (this.#drops) this.counter.drop();
  }

  #take(size: number): number {
    return this.#source.take(Math.max(size, this.#block));
  }
}
