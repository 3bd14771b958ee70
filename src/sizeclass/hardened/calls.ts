/** C's and C++'s functions over checked blocks. Arguments must be unsigned 32-bit numbers. */
import {
  type FreeClaims,
  type HardenedBlocks,
  isPower,
  MALLOC,
  MEMALIGN,
  NEW,
  NEW_ARRAY,
} from "./blocks.ts";
import {
  alignmentOfAlignedAlloc,
  alignmentOfPosixMemalign,
  type Origin,
  PAGE,
  productOverflow,
  pvallocOverflow,
} from "./reports.ts";

const UINT_MAX = 0xffffffff;

/** The calls of a hardened malloc; C and the checked methods share them. */
export class HardenedCApi {
  readonly blocks: HardenedBlocks;

  constructor(blocks: HardenedBlocks) {
    this.blocks = blocks;
  }

  malloc(size: number): number {
    return this.blocks.allocate(size, 16, MALLOC);
  }

  calloc(count: number, size: number): number {
    const bytes = count * size;
    if (bytes > UINT_MAX) return this.blocks.refuse(productOverflow("calloc", count, size));
    return this.blocks.allocate(bytes, 16, MALLOC, true);
  }

  memalign(alignment: number, size: number): number {
    return this.blocks.allocateAligned(size, alignment, MEMALIGN);
  }

  alignedAlloc(alignment: number, size: number): number {
    if (isPower(alignment) && size % alignment === 0) return this.memalign(alignment, size);
    return this.blocks.refuse(alignmentOfAlignedAlloc(alignment, size));
  }

  posixMemalign(alignment: number, size: number): number {
    if (isPosixAlignment(alignment)) return this.memalign(alignment, size);
    return this.blocks.refuse(alignmentOfPosixMemalign(alignment));
  }

  pvalloc(size: number): number {
    const bytes = Math.max(1, Math.ceil(size / PAGE)) * PAGE;
    if (bytes > UINT_MAX) return this.blocks.refuse(pvallocOverflow(size));
    return this.memalign(PAGE, bytes);
  }

  operatorNew(size: number, array: boolean, alignment: number): number {
    return this.blocks.allocateAligned(size, alignment, array ? NEW_ARRAY : NEW);
  }

  free(ptr: number): void {
    if (ptr !== 0) this.blocks.deallocate(ptr, MALLOC);
  }

  deallocate(ptr: number, origin: Origin, claims: FreeClaims): void {
    if (ptr !== 0) this.blocks.deallocate(ptr, origin, claims);
  }

  realloc(ptr: number, size: number): number {
    return ptr === 0 ? this.malloc(size) : this.blocks.resize(ptr, size);
  }

  reallocarray(ptr: number, count: number, size: number): number {
    const bytes = count * size;
    if (bytes <= UINT_MAX) return this.realloc(ptr, bytes);
    return this.blocks.refuse(productOverflow("reallocarray", count, size));
  }

  usableSize(ptr: number): number {
    return ptr === 0 ? 0 : this.blocks.usableSize(ptr);
  }
}

/** Whether it is a power of two, and a multiple of the size of a pointer. */
export function isPosixAlignment(alignment: number): boolean {
  return isPower(alignment) && alignment >= 4;
}
