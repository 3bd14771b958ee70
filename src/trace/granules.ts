/** Which 4 KiB granules of a linear memory were ever inside a block. */

const GRANULE_SHIFT = 12;
/** Of 4 GiB. */
export const GRANULES = 2 ** (32 - GRANULE_SHIFT);

/** What the operating system gives is of this size, so this is what a block costs at the least. */
export class Granules {
  readonly #seen: Uint8Array;

  /** @param seen GRANULES zeros; threads may have them together. */
  constructor(seen: Uint8Array = new Uint8Array(GRANULES)) {
    this.#seen = seen;
  }

  /** Takes [p, p + size) in; 0 bytes touch nothing. */
  cover(p: number, size: number): void {
    if (size === 0) return;
    const last = Math.floor((p + size - 1) / 2 ** GRANULE_SHIFT);
    this.#seen.fill(1, p >>> GRANULE_SHIFT, last + 1);
  }

  get bytes(): number {
    const count = this.#seen.reduce((sum, seen) => sum + seen, 0);
    return count * 2 ** GRANULE_SHIFT;
  }
}
