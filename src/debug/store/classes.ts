/**
 * Sizes of slots: four to a doubling, so that zones and rounding waste less than with powers of two
 * (Zig's classes double: with zones, a block of 64 bytes would take 256).
 */
import { type AlignmentRequest, frontZoneBytes, REAR } from "./block.ts";

const SLOTS_LEAST = 16;
const GRANULE = 16;

export class SizeClasses {
  /** Bytes of the slots of each class, ascending, multiples of 16. */
  readonly slots: readonly number[];
  /** The alignment of a page that slots at multiples of their size need. */
  readonly alignment: number;
  /** Classes by size in granules of 16 bytes. */
  readonly #class: Uint8Array;

  /** @param least The fewest slots that a page may have. */
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

  /** The class for a block; -1 if it needs a run of its own, as one with an offset does. */
  find(size: number, align: AlignmentRequest): number {
    const { alignment, offset } = align;
    if (offset % alignment !== 0) return -1;
    const bytes = frontZoneBytes(align) + size + REAR;
    const kind = this.#class[Math.ceil(bytes / GRANULE)] ?? -1;
    return alignment <= GRANULE || kind < 0 ? kind : this.#findAligned(kind, alignment);
  }

  /** Slots lie at multiples of their size, counted from an aligned page. */
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
