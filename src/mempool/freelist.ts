/**
 * The free blocks of a pool in the order of their addresses: an array of addresses and an array of
 * sizes, so that a search reads adjacent words and not headers all over the memory. First fit
 * spends most of its time in that search.
 */
export class FreeList {
  #at = new Uint32Array(16);
  #size = new Uint32Array(16);
  #count = 0;
  #bytes = 0;
  /** No block is larger: saves searches that would fail. */
  #largest = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  blockAt(index: number): number {
    return this.#at[index] as number;
  }

  sizeAt(index: number): number {
    return this.#size[index] as number;
  }

  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
    this.#largest = 0;
  }

  /** Index of the first block of at least `size` bytes, or -1. */
  fit(size: number): number {
    if (size > this.#largest) return -1;
    const [sizes, count] = [this.#size, this.#count];
    let largest = 0;
    for (let i = 0; i < count; i++) {
      const have = sizes[i] as number;
      if (have >= size) return i;
      if (have > largest) largest = have;
    }
    this.#largest = largest;
    return -1;
  }

  /** The index that a block belongs at: that of the first one above it. */
  indexFor(block: number): number {
    const at = this.#at;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((at[middle] as number) < block) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  insert(index: number, block: number, size: number): void {
    if (this.#count === this.#at.length) this.#grow();
    this.#at.copyWithin(index + 1, index, this.#count);
    this.#size.copyWithin(index + 1, index, this.#count);
    this.#count += 1;
    this.#at[index] = block;
    this.#size[index] = 0;
    this.replace(index, block, size);
  }

  remove(index: number): void {
    this.#bytes -= this.sizeAt(index);
    this.#at.copyWithin(index, index + 1, this.#count);
    this.#size.copyWithin(index, index + 1, this.#count);
    this.#count -= 1;
  }

  /** Replaces a block by another one between the same neighbours. */
  replace(index: number, block: number, size: number): void {
    this.#bytes += size - this.sizeAt(index);
    this.#at[index] = block;
    this.#size[index] = size;
    if (size > this.#largest) this.#largest = size;
  }

  #grow(): void {
    const [at, size] = [new Uint32Array(this.#count * 2), new Uint32Array(this.#count * 2)];
    at.set(this.#at);
    size.set(this.#size);
    this.#at = at;
    this.#size = size;
  }
}
