/** The allocator that uses the current region at each call. */
import { AllocatorBase } from "../pool/allocator-base.ts";
import type { Memory } from "../pool/contract.ts";
import { currentRegion, getGroundRegion } from "./enter.ts";

/** An allocator for code that keeps one allocator for good: see `ambient`. */
export class Ambient extends AllocatorBase {
  protected get backingMemory(): Memory {
    return getGroundRegion().pool.memory;
  }

  /** @internal */
  override homeOf(ptr: number): AllocatorBase {
    return currentRegion().ownerOf(ptr);
  }

  /** `malloc` of the current region. */
  malloc(size: number): number {
    return currentRegion().malloc(size);
  }

  /** `calloc` of the current region. */
  calloc(count: number, size: number): number {
    return currentRegion().calloc(count, size);
  }

  /** `memalign` of the current region. */
  memalign(alignment: number, size: number): number {
    return currentRegion().memalign(alignment, size);
  }

  /** Resizes a block in the region that it belongs to; a null pointer allocates in the current. */
  realloc(ptr: number, size: number): number {
    return currentRegion().realloc(ptr, size);
  }

  /** Frees a block of any region. */
  free(ptr: number): void {
    currentRegion().free(ptr);
  }

  /** Bytes that a block of any region was allocated with; 0 for a null pointer. */
  usableSize(ptr: number): number {
    return currentRegion().usableSize(ptr);
  }
}

/**
 * An allocator that uses the current region at each call. Do not use it as the source of a region:
 * it would call itself.
 *
 * @example
 * const text = ambient.allocString("in the current region");
 */
export const ambient: Ambient = /* @__PURE__ */ new Ambient();
