/** Freed blocks that are not used again yet, the oldest first: a ring of pairs of numbers. */

const PAIR = 2;

export class Quarantine {
  #pairs = new Int32Array(PAIR * 1024);
  #first = 0;
  #count = 0;
  /** Bytes of the blocks in quarantine. */
  bytes = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Adds a block with its size class and bytes. */
  push(id: number, which: number, bytes: number): void {
    if (this.#count * PAIR === this.#pairs.length) this.#grow();
    const at = ((this.#first + this.#count++) * PAIR) & (this.#pairs.length - 1);
    this.#pairs[at] = id;
    this.#pairs[at + 1] = which;
    this.bytes += bytes;
  }

  /** The oldest block, which stays in quarantine. */
  get oldest(): number {
    return this.#pairs[this.#first * PAIR] as number;
  }

  /** The size class of the oldest block. */
  get oldestClass(): number {
    return this.#pairs[this.#first * PAIR + 1] as number;
  }

  /** Removes the oldest block, which has so many bytes. */
  drop(bytes: number): void {
    this.#first = (this.#first + 1) & (this.#pairs.length / PAIR - 1);
    this.#count--;
    this.bytes -= bytes;
  }

  #grow(): void {
    const larger = new Int32Array(this.#pairs.length * 2);
    const tail = this.#pairs.subarray(this.#first * PAIR);
    larger.set(tail);
    larger.set(this.#pairs.subarray(0, this.#first * PAIR), tail.length);
    this.#pairs = larger;
    this.#first = 0;
  }
}
