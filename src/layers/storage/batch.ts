/** Lists every block, so that all can be freed at once. */
import { defineLayer, type Layer, type Memory, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";

// raw              ptr = raw + 16
//  | next | previous | size | unused | user's bytes … |
const HEADER = 16;

/**
 * Keeps all blocks in a linked list, which takes 16 bytes before each; `destroy` puts those that
 * are left. So any pool becomes one that drops. It also knows the sizes of blocks.
 *
 * @example
 * const request = pipe(std(heap), batch());
 */
export function batch(): Layer<{
  readonly alignment: 16;
  readonly sized: false;
  readonly drops: true;
  readonly owns: false;
}> {
  const gives = { alignment: 16, sized: false, drops: true, owns: false } as const;
  return (source) => {
    const blocks = new LinkedBlocks(source);
    return defineLayer("batch", source, gives, {
      get: (size) => blocks.get(size),
      put: (ptr) => blocks.put(ptr),
      destroy() {
        blocks.clear();
        source.destroy();
      },
      sizeOf: (ptr) => source.memory.u32()[(ptr - 8) >>> 2] as number,
      stats: () => blocks.counter.stats(),
    });
  };
}

/** A doubly linked list through the headers: addresses of headers, 0 at both ends. */
class LinkedBlocks {
  readonly counter = new Counter();
  #first = 0;
  readonly #source: Pool;
  readonly #memory: Memory;

  constructor(source: Pool) {
    this.#source = source;
    this.#memory = source.memory;
  }

  get(size: number): number {
    const raw = this.#source.get(size + HEADER);
    if (raw === 0) return 0;
    const words = this.#memory.u32();
    const at = raw >>> 2;
    words[at] = this.#first;
    words[at + 1] = 0;
    words[at + 2] = size;
    if (this.#first !== 0) words[(this.#first >>> 2) + 1] = raw;
    this.#first = raw;
    this.counter.got(size);
    this.counter.take(size + HEADER);
    return raw + HEADER;
  }

  put(ptr: number): void {
    const raw = ptr - HEADER;
    const words = this.#memory.u32();
    const next = words[raw >>> 2] as number;
    const previous = words[(raw >>> 2) + 1] as number;
    const size = words[(raw >>> 2) + 2] as number;
    if (previous === 0) this.#first = next;
    else words[previous >>> 2] = next;
    if (next !== 0) words[(next >>> 2) + 1] = previous;
    this.#source.put(raw, size + HEADER);
    this.counter.put(size);
    this.counter.give(size + HEADER);
  }

  clear(): void {
    while (this.#first !== 0) {
      const raw = this.#first;
      const words = this.#memory.u32();
      this.#first = words[raw >>> 2] as number;
      this.#source.put(raw, (words[(raw >>> 2) + 2] as number) + HEADER);
    }
    this.counter.drop();
  }
}
