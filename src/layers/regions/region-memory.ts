/** The memory of a region: after the end of the region every look at it throws. */
import type { Memory } from "../pool/contract.ts";
import { regionEnded } from "../pool/errors.ts";

/**
 * Forwards to the memory that all regions of a thread lie in. Containers and compositions of a
 * region see its memory through this object, so that a live region needs no test for its end.
 */
export class RegionMemory implements Memory {
  /** Whether the region has ended. */
  isOver = false;
  #base: Memory;

  constructor(base: Memory) {
    this.#base = base instanceof RegionMemory ? base.base : base;
  }

  /** The memory itself. */
  get base(): Memory {
    return this.#base;
  }

  bytes(): Uint8Array {
    return this.#base.bytes();
  }

  u32(): Uint32Array {
    return this.#base.u32();
  }

  /** For the ground region: the memory is known only at the first use. */
  bind(base: Memory): void {
    this.#base = base;
  }

  /** Every later call throws LayerError ERR_REGION_ENDED. */
  end(label: string): void {
    this.isOver = true;
    const refuse = () => {
      throw regionEnded(label);
    };
    this.#base = { bytes: refuse, u32: refuse };
  }
}
