/**
 * Sizes of slots: four to a doubling, so that zones and rounding together waste less than powers of
 * two would (Zig's classes double: with zones, a block of 64 bytes would take 256).
 */

const SLOTS_LEAST = 16;
const GRANULE = 16;

export class SizeClasses {
  /** Bytes of the slots of each class, ascending, multiples of 16. */
  readonly slots: readonly number[];
  /** What a page must be aligned to, for slots at multiples of their size to be aligned. */
  readonly alignment: number;
  /** The class for so many granules of 16 bytes. */
  readonly #class: Uint8Array;

  /** @param least Slots of a page, at least. */
  constructor(pageSize: number, least = SLOTS_LEAST) {
    this.slots = slotSizes(Math.floor(pageSize / least));
    const largest = this.slots.at(-1) as number;
    this.alignment = 2 ** Math.floor(Math.log2(largest));
    this.#class = new Uint8Array(largest / GRANULE + 1);
    for (let i = 0, kind = 0; i < this.#class.length; i++) {
      if (i * GRANULE > (this.slots[kind] as number)) kind++;
      this.#class[i] = kind;
    }
  }

  /** The class for `bytes`, zones included; -1 when only a block of its own will do. */
  find(bytes: number, alignment: number): number {
    const kind = this.#class[Math.ceil(bytes / GRANULE)] ?? -1;
    return alignment <= GRANULE || kind < 0 ? kind : this.#findAligned(kind, alignment);
  }

  /** Slots lie at multiples of their size from an aligned page on. */
  #findAligned(least: number, alignment: number): number {
    for (let kind = least; kind < this.slots.length; kind++) {
      if ((this.slots[kind] as number) % alignment === 0) return kind;
    }
    return -1;
  }
}

function slotSizes(largest: number): number[] {
  const sizes = [32, 48];
  for (let doubling = 64; doubling <= largest; doubling *= 2) {
    for (let quarter = 4; quarter < 8; quarter++) {
      const size = (doubling / 4) * quarter;
      if (size <= largest) sizes.push(size);
    }
  }
  return sizes;
}
