/** Leads from offsets in a rewritten module to offsets in the original. */

/** Pairs of offsets. Between two pairs, both files have the same bytes, or bytes were added. */
export class OffsetMap {
  #old = new Uint32Array(1024);
  #new = new Uint32Array(1024);
  #count = 0;

  /** From `newOffset` on, bytes come from `oldOffset` on. Both must not fall from call to call. */
  add(oldOffset: number, newOffset: number): void {
    if (this.#count === this.#old.length) {
      this.#old = doubled(this.#old);
      this.#new = doubled(this.#new);
    }
    this.#old[this.#count] = oldOffset;
    this.#new[this.#count++] = newOffset;
  }

  /** New bytes `from` to `to` replace one instruction of the original, `old` to `oldEnd`. */
  replacement(old: number, oldEnd: number, from: number, to: number): void {
    this.add(old, from);
    this.add(old, to);
    this.add(oldEnd, to);
  }

  /** Pairs so far. */
  get count(): number {
    return this.#count;
  }

  /** Adds `distance` bytes to the new offsets of the pairs from number `first` on. */
  shift(first: number, distance: number): void {
    for (let i = first; i < this.#count; i++) (this.#new[i] as number) += distance;
  }

  /**
   * The offset in the original for an offset in the rewritten module. Code that was added before an
   * instruction counts as that instruction.
   *
   * @returns undefined for offsets before the code section.
   */
  toOriginal(newOffset: number): number | undefined {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#new[middle] as number) <= newOffset) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const run = (this.#old[low - 1] as number) + newOffset - (this.#new[low - 1] as number);
    return low < this.#count ? Math.min(run, this.#old[low] as number) : run;
  }
}

function doubled(items: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(items.length * 2);
  larger.set(items);
  return larger;
}
