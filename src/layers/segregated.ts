/** Size classes of powers of two, each with a list of free blocks. */
import { BlockList } from "./blocklist.ts";
import { type Layer, layerOf, type Pool } from "./contract.ts";
import { Counter } from "./counter.ts";
import { checkWhole } from "./errors.ts";

const SMALLEST = 4; // 16 bytes

/**
 * Rounds requests up to a power of two and keeps blocks that are put by their size: what Kingsley's
 * allocator does. Requests above `largest` pass. Price: up to half of a block.
 *
 * @throws RangeError unless largest is 16 to 2^30.
 * @example
 * const kingsley = pipe(std(heap), chunk(), segregated());
 */
export function segregated(
  largest = 65536,
): Layer<{ readonly sized: true; readonly zeroed: false }> {
  checkWhole("segregated: largest", largest, 16, 2 ** 30);
  return (source) => {
    const classes = new Classes(source, largest);
    return layerOf(
      `segregated(${largest})`,
      source,
      { sized: true, zeroed: false },
      {
        get: (size) => classes.get(size),
        put: (ptr, size) => classes.put(ptr, size),
        deinit() {
          classes.clear();
          if (source.traits.drops) classes.counter.drop();
          source.deinit();
        },
        figures: () => classes.counter.figures(),
      },
    );
  };
}

/** Which power of two holds `size` bytes. */
function classOf(size: number): number {
  return size <= 16 ? SMALLEST : 32 - Math.clz32(size - 1);
}

class Classes {
  readonly counter = new Counter();
  readonly #lists: BlockList[] = [];
  readonly #source: Pool;
  readonly #largest: number;

  constructor(source: Pool, largest: number) {
    this.#source = source;
    this.#largest = largest;
    for (let i = 0; i <= classOf(largest); i++) this.#lists.push(new BlockList(source.memory));
  }

  get(size: number): number {
    const ptr = size > this.#largest ? this.#take(size) : this.#getSmall(classOf(size));
    if (ptr !== 0) this.counter.got(size);
    return ptr;
  }

  put(ptr: number, size: number): void {
    this.counter.put(size);
    if (size > this.#largest) this.#give(ptr, size);
    else this.#list(classOf(size)).push(ptr);
  }

  clear(): void {
    this.#lists.forEach((list, index) => {
      for (let ptr = list.pop(); ptr !== 0; ptr = list.pop()) this.#give(ptr, 1 << index);
    });
  }

  #getSmall(index: number): number {
    return this.#list(index).pop() || this.#take(1 << index);
  }

  #list(index: number): BlockList {
    return this.#lists[index] as BlockList;
  }

  #take(bytes: number): number {
    const ptr = this.#source.get(bytes);
    if (ptr !== 0) this.counter.take(bytes);
    return ptr;
  }

  #give(ptr: number, bytes: number): void {
    this.#source.put(ptr, bytes);
    this.counter.give(bytes);
  }
}
