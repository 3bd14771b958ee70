/** A list of free blocks for each power of two. */

import { defineLayer, type Layer, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { checkWhole } from "../pool/errors.ts";
import { BlockList } from "./block-list.ts";
import { CountedSource } from "./counted-source.ts";
import { orderOf } from "./size-classes.ts";

/**
 * Rounds requests up to a power of two and keeps blocks that are put in a list for each size, as
 * Kingsley's allocator does. Requests above `largest` bytes pass to the source. Price: up to half
 * of a block.
 *
 * @param largest the largest request in bytes that is served from the lists. Default: 65536.
 * @throws TypeError or RangeError unless largest is a whole number from 16 to 2^30.
 * @example
 * const kingsley = pipe(std(heap), chunk(), segregated());
 */
export function segregated(
  largest = 65536,
): Layer<{ readonly sized: true; readonly zeroed: false }> {
  checkWhole("segregated: largest", largest, 16, 2 ** 30);
  return (source) => {
    const classes = new Classes(source, largest);
    return defineLayer(
      `segregated(${largest})`,
      source,
      { sized: true, zeroed: false },
      {
        get: (n) => classes.get(n),
        put: (ptr, n) => classes.put(ptr, n),
        destroy() {
          classes.clear();
          source.destroy();
        },
        stats: () => classes.counter.stats(),
      },
    );
  };
}

class Classes {
  readonly counter = new Counter();
  readonly #lists: BlockList[] = [];
  readonly #source: CountedSource;
  readonly #drops: boolean;
  readonly #largest: number;

  constructor(source: Pool, largest: number) {
    this.#source = new CountedSource(source, this.counter);
    this.#drops = source.traits.drops;
    this.#largest = largest;
    for (let i = 0; i <= orderOf(largest); i++) this.#lists.push(new BlockList(source.memory));
  }

  get(size: number): number {
    const ptr = size > this.#largest ? this.#source.take(size) : this.#getSmall(orderOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size > this.#largest) this.#source.give(ptr, size);
    else this.#list(orderOf(size)).push(ptr);
  }

  clear(): void {
    this.#lists.forEach((list, index) => {
      for (let ptr = list.pop(); ptr !== 0; ptr = list.pop()) this.#source.give(ptr, 1 << index);
    });
    if (this.#drops) this.counter.drop();
  }

  #getSmall(index: number): number {
    return this.#list(index).pop() || this.#source.take(1 << index);
  }

  #list(index: number): BlockList {
    return this.#lists[index] as BlockList;
  }
}
