/** Which 4 KiB granules of a linear memory were ever inside a block. */

const GRANULE_SHIFT = 12;
/** Of 4 GiB. */
export const GRANULES = 2 ** (32 - GRANULE_SHIFT);

/** Operating systems give memory in this size, so a block costs at least so much. */
export class Granules {
  readonly #seen: Uint8Array;

  /** @param seen GRANULES zeros; threads may share them. */
  constructor(seen: Uint8Array = new Uint8Array(GRANULES)) {
    this.#seen = seen;
  }

  /** Adds the granules of [p, p + size). */
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
