/** A list of free blocks, linked through their first words: last in, first out. */
import type { Memory } from "../pool/contract.ts";

export class BlockList {
  count = 0;
  #first = 0;
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  push(ptr: number): void {
    this.#memory.u32()[ptr >>> 2] = this.#first;
    this.#first = ptr;
    this.count += 1;
  }

  /** The block that was pushed last, or 0. */
  pop(): number {
    const ptr = this.#first;
    if (ptr === 0) return 0;
    this.#first = this.#memory.u32()[ptr >>> 2] as number;
    this.count -= 1;
    return ptr;
  }
}
