/** Blocks that are not sampled, which the allocator below serves. */
import type { AllocatorLike } from "./allocator-like.ts";
import { isTrap, type WatchedBacking } from "./backing-damage.ts";
import { type AlignmentRequest, isAligned } from "./block.ts";
import type { Change, Request } from "./request.ts";

export class Unsampled {
  readonly #below: AllocatorLike;
  readonly #backing: WatchedBacking;

  constructor(backing: WatchedBacking) {
    this.#below = backing.allocator;
    this.#backing = backing;
  }

  /** Calls the allocator below; 0 when that shows that it is damaged. */
  attempt(call: () => number): number {
    if (this.#backing.isDamaged) return 0;
    try {
      return call();
    } catch (error) {
      if (!isTrap(error)) throw error;
      this.#backing.damaged(error);
      return 0;
    }
  }

  /** Whether the allocator below has a function for such a block. */
  has({ align }: Request): boolean {
    if (!align) return true;
    return (align.offset ? this.#below.memalignAt : this.#below.memalign) !== undefined;
  }

  get(request: Request): number {
    return this.attempt(() => this.#get(request));
  }

  #get({ size, align, zero = false }: Request): number {
    if (!align) return zero ? this.#below.calloc(1, size) : this.#below.malloc(size);
    const ptr = this.#aligned(size, align);
    if (zero && ptr !== 0) this.#below.u8.fill(0, ptr, ptr + size);
    return ptr;
  }

  free(ptr: number): void {
    this.attempt(() => {
      this.#below.free(ptr);
      return 0;
    });
  }

  resize(ptr: number, change: Change): number {
    return this.attempt(() => this.#resize(ptr, change));
  }

  #resize(ptr: number, { size, align, zero, stay }: Change): number {
    const before = this.#below.usableSize(ptr);
    if (stay) return size <= before ? ptr : 0;
    const to = align ? this.#move(ptr, before, size, align) : this.#below.realloc(ptr, size);
    if (zero && to !== 0 && size > before) this.#below.u8.fill(0, to + before, to + size);
    return to;
  }

  usableSize(ptr: number): number {
    return this.attempt(() => this.#below.usableSize(ptr));
  }

  contains(ptr: number): boolean {
    return this.attempt(() => Number(this.#below.contains?.(ptr) === true)) === 1;
  }

  collect(): void {
    this.attempt(() => {
      this.#below.collect?.();
      return 0;
    });
  }

  /** Ends the allocator below. */
  destroy(): void {
    this.attempt(() => {
      this.#below.destroy?.();
      return 0;
    });
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
