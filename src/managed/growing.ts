/** A block that grows: the memory of arrays and byte strings. */
import { outOfMemory } from "../common/errors.ts";
import type { AllocatorBase } from "../layers/index.ts";

const LEAST = 16;

export class Growing implements Disposable {
  readonly #given: AllocatorBase;
  /** What the block belongs to: its region, where that is another one at each call. */
  #home: AllocatorBase;
  #ptr = 0;
  #bytes = 0;

  constructor(allocator: AllocatorBase) {
    this.#given = allocator;
    this.#home = allocator;
  }

  /**
   * The allocator of the block, wherever it grows; its views are those of the block's memory, and
   * throw when the region of the block has ended.
   */
  get allocator(): AllocatorBase {
    return this.#home;
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
    this.#requireLive();
    const ptr = this.#given.realloc(this.#ptr, wanted);
    if (ptr === 0) throw outOfMemory("reserve", wanted);
    if (this.#ptr === 0) this.#home = this.#given.homeOf(ptr);
    this.#ptr = ptr;
    this.#bytes = wanted;
  }

  /** Gives the block back; `reserve` allocates a new one. */
  free(): void {
    this.#requireLive();
    this.#given.free(this.#ptr);
    this.#ptr = 0;
    this.#bytes = 0;
    this.#home = this.#given;
  }

  /** A header in dead memory can be that of another block by now. */
  #requireLive(): void {
    if (this.#ptr !== 0) void this.#home.buffer;
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
