/** The memory of a region: after the end of the region every look at it throws. */
import { Lifetime } from "../../common/views.ts";
import type { Memory, Pool } from "../pool/contract.ts";
import { regionEnded } from "../pool/errors.ts";

/**
 * Forwards to the memory that all regions of a thread lie in. Containers and compositions of a
 * region see its memory through this object, so that a live region needs no test for its end.
 */
export class RegionMemory implements Memory {
  /** Ends with the region. */
  readonly lifetime: Lifetime = new Lifetime();
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
    this.lifetime.isOver = true;
    const refuse = () => {
      throw regionEnded(label);
    };
    this.#base = { bytes: refuse, u32: refuse };
  }
}

/** The ground's pool, which is made at the first call. */
export function poolOnCall(pool: () => Pool): Pick<Pool, "get" | "put"> {
  return { get: (size) => pool().get(size), put: (ptr, size) => pool().put(ptr, size) };
}

/** Its memory. */
export function memoryOnCall(pool: () => Pool): Memory {
  return { bytes: () => pool().memory.bytes(), u32: () => pool().memory.u32() };
}

/** Replaces the pool of an ended region, so that calls of a live one need no test for the end. */
export function endedSource(label: string): Pick<Pool, "get" | "put"> {
  const refuse = () => {
    throw regionEnded(label);
  };
  return { get: refuse, put: refuse };
}
