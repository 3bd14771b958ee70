/** A block that grows: the memory of arrays and byte strings. */
import { outOfMemory } from "../common/errors.ts";
import type { AllocatorBase } from "../layers/index.ts";

const LEAST = 16;

export class Growing implements Disposable {
  /** The allocator of the block, wherever it grows. */
  readonly allocator: AllocatorBase;
  #ptr = 0;
  #bytes = 0;

  constructor(allocator: AllocatorBase) {
    this.allocator = allocator;
  }

  /** Address of the first byte; 0 before the first reserve. Growth may change it. */
  get ptr(): number {
    return this.#ptr;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Grows to at least `bytes`, and at least to twice the size, so that n appends copy at most 2n
   * bytes.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY; the block is as it was then.
   */
  reserve(bytes: number): void {
    if (bytes <= this.#bytes) return;
    const wanted = Math.max(bytes, 2 * this.#bytes, LEAST);
    const ptr = this.allocator.realloc(this.#ptr, wanted);
    if (ptr === 0) throw outOfMemory("reserve", wanted);
    this.#ptr = ptr;
    this.#bytes = wanted;
  }

  /** Gives the block back; `reserve` allocates a new one. */
  free(): void {
    this.allocator.free(this.#ptr);
    this.#ptr = 0;
    this.#bytes = 0;
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/** Checks an index of a container. */
export function checkIndex(index: number, length: number): void {
  if (Number.isInteger(index) && index >= 0 && index < length) return;
  if (typeof index !== "number") throw new TypeError(`index must be a number, not ${typeof index}`);
  throw new RangeError(`index must be a whole number below ${length}, not ${index}`);
}
