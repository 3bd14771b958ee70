/** Which 4 KiB granules of a linear memory were ever inside a block. */

export const GRANULE_SHIFT = 12;
const GRANULES = 2 ** (32 - GRANULE_SHIFT);

/** What the operating system gives is of this size, so this is what a block costs at the least. */
export class Granules {
  readonly #seen = new Uint8Array(GRANULES);
  #count = 0;

  /** Takes [p, p + size) in; 0 bytes touch nothing. */
  cover(p: number, size: number): void {
    if (size === 0) return;
    const last = Math.floor((p + size - 1) / 2 ** GRANULE_SHIFT);
    for (let granule = p >>> GRANULE_SHIFT; granule <= last; granule++) {
      this.#count += 1 - (this.#seen[granule] as number);
      this.#seen[granule] = 1;
    }
  }

  get bytes(): number {
    return this.#count * 2 ** GRANULE_SHIFT;
  }
}
