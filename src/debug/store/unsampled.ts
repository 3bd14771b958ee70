/** Blocks that are not sampled, which the allocator below serves. */
import type { AllocatorLike } from "./backing.ts";
import { type AlignmentRequest, isAligned } from "./block.ts";
import type { Change, Request } from "./request.ts";

export class Unsampled {
  readonly #below: AllocatorLike;

  constructor(below: AllocatorLike) {
    this.#below = below;
  }

  /** Whether the allocator below has a function for such a block. */
  has({ align }: Request): boolean {
    if (!align) return true;
    return (align.offset ? this.#below.memalignAt : this.#below.memalign) !== undefined;
  }

  get({ size, align, zero = false }: Request): number {
    if (!align) return zero ? this.#below.calloc(1, size) : this.#below.malloc(size);
    const ptr = this.#aligned(size, align);
    if (zero && ptr !== 0) this.#below.u8.fill(0, ptr, ptr + size);
    return ptr;
  }

  free(ptr: number): void {
    this.#below.free(ptr);
  }

  resize(ptr: number, { size, align, zero, stay }: Change): number {
    const before = this.#below.usableSize(ptr);
    if (stay) return size <= before ? ptr : 0;
    const to = align ? this.#move(ptr, before, size, align) : this.#below.realloc(ptr, size);
    if (zero && to !== 0 && size > before) this.#below.u8.fill(0, to + before, to + size);
    return to;
  }

  usableSize(ptr: number): number {
    return this.#below.usableSize(ptr);
  }

  contains(ptr: number): boolean {
    return this.#below.contains?.(ptr) === true;
  }

  collect(): void {
    this.#below.collect?.();
  }

  #aligned(size: number, { alignment, offset }: AlignmentRequest): number {
    const { memalign, memalignAt } = this.#below;
    const at = offset
      ? memalignAt?.call(this.#below, alignment, size, offset)
      : memalign?.call(this.#below, alignment, size);
    return at ?? 0;
  }

  #move(ptr: number, before: number, size: number, align: AlignmentRequest): number {
    if (size <= before && size >= before / 2 && isAligned(ptr, align)) return ptr;
    const to = this.#aligned(size, align);
    if (to === 0) return 0;
    this.#below.u8.copyWithin(to, ptr, ptr + Math.min(before, size));
    this.#below.free(ptr);
    return to;
  }
}
