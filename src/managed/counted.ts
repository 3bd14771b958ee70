/** Reference counting: blocks are freed with their last reference. */
import { outOfMemory } from "../common/errors.ts";
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { cyclesFind } from "./cycles.ts";
import { notManaged } from "./errors.ts";
import { type Kind, kind, pointersOf } from "./kinds.ts";

/** A block of a group of blocks that hold each other. */
export interface CycleBlock {
  /** Its address. */
  readonly ptr: number;
  /** Bytes that were asked for. */
  readonly size: number;
  /** The name of its kind. */
  readonly kind: string;
}

interface Counted {
  readonly size: number;
  readonly kind: Kind;
  count: number;
  weak: Weak | undefined;
}

const BYTES = kind("bytes");

/** A reference that does not keep its block alive. */
export class Weak {
  #ptr: number;

  /** Use `counting.weak`. */
  constructor(ptr: number) {
    this.#ptr = ptr;
  }

  /** Address of the block; 0 once it is freed. `retain` it to keep the block. */
  get ptr(): number {
    return this.#ptr;
  }

  /**
   * For the manager: the block is freed.
   *
   * @internal
   */
  clear(): void {
    this.#ptr = 0;
  }
}

/**
 * Reference counting in a region. A new block has one reference. The release of the last reference
 * finalizes the block, releases what it points to, and frees it. A pointer that is stored in a
 * block, at an offset that the kind of the block names, is a reference too: retain the target, or
 * give it the reference that you have. Blocks that hold each other are never freed by counting:
 * `cycles` reports them, and the end of the region frees them. Price: a table entry for each block.
 * For one thread.
 *
 * @example
 * const counting = new Counting();
 * const list = kind("list", { pointers: [0] });
 * const tail = counting.alloc(16, list);
 * const head = counting.alloc(16, list);
 * currentRegion().u32[head / 4] = tail; // gives the reference to the head
 * counting.release(head); // frees both
 */
export class Counting {
  /** Where blocks come from. */
  readonly allocator: AllocatorBase;
  readonly #blocks = new Map<number, Counted>();

  /** @param allocator where blocks come from. Default: the current region. */
  constructor(allocator: AllocatorBase = currentRegion()) {
    this.allocator = allocator;
  }

  /** Number of blocks that are alive. */
  get live(): number {
    return this.#blocks.size;
  }

  /**
   * A block of `size` zero bytes with one reference, aligned to 16.
   *
   * @param size bytes, a whole number from 0 to 2^31 - 1.
   * @param of what is known of the block. Default: it holds no pointers.
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  alloc(size: number, of: Kind = BYTES): number {
    const ptr = this.allocator.calloc(1, size);
    if (ptr === 0) throw outOfMemory("alloc", size);
    this.#blocks.set(ptr, { size, kind: of, count: 1, weak: undefined });
    return ptr;
  }

  /**
   * Adds a reference; returns ptr.
   *
   * @throws ManagedError ERR_NOT_MANAGED when ptr is not a live block.
   */
  retain(ptr: number): number {
    this.#at("retain", ptr).count += 1;
    return ptr;
  }

  /**
   * Takes a reference away; a null pointer is ignored. Long chains are released without recursion.
   *
   * @throws ManagedError ERR_NOT_MANAGED when ptr is not a live block; what a finalizer throws.
   */
  release(ptr: number): void {
    if (ptr === 0) return;
    this.#at("release", ptr);
    for (const waiting = [ptr]; waiting.length > 0; ) {
      const next = waiting.pop() as number;
      const block = this.#at("release", next);
      block.count -= 1;
      if (block.count === 0) this.#drop(next, block, waiting);
    }
  }

  /**
   * Number of references of a block.
   *
   * @throws ManagedError ERR_NOT_MANAGED when ptr is not a live block.
   */
  count(ptr: number): number {
    return this.#at("count", ptr).count;
  }

  /**
   * A reference that does not keep the block alive; the same object at each call.
   *
   * @throws ManagedError ERR_NOT_MANAGED when ptr is not a live block.
   */
  weak(ptr: number): Weak {
    const block = this.#at("weak", ptr);
    block.weak ??= new Weak(ptr);
    return block.weak;
  }

  /**
   * The blocks that only hold each other, in groups whose blocks can all reach each other: what
   * counting never frees. Blocks that are only held by such a group are not listed. Reads all
   * blocks.
   */
  cycles(): CycleBlock[][] {
    const held = new Map([...this.#blocks].map(([ptr, { count }]) => [ptr, count]));
    const words = this.allocator.u32;
    const targets = (ptr: number) => this.#targets(words, ptr);
    return cyclesFind(held, targets).map((group) =>
      group.map((ptr) => {
        const { size, kind: of } = this.#blocks.get(ptr) as Counted;
        return { ptr, size, kind: of.name };
      }),
    );
  }

  #targets(words: Uint32Array, ptr: number): number[] {
    const { size, kind: of } = this.#blocks.get(ptr) as Counted;
    const found: number[] = [];
    pointersOf(words, ptr, size, of, (target) => {
      if (this.#blocks.has(target)) found.push(target);
    });
    return found;
  }

  #drop(ptr: number, block: Counted, waiting: number[]): void {
    block.kind.finalize?.(ptr);
    block.weak?.clear();
    waiting.push(...this.#targets(this.allocator.u32, ptr));
    this.#blocks.delete(ptr);
    this.allocator.free(ptr);
  }

  #at(call: string, ptr: number): Counted {
    const block = this.#blocks.get(ptr);
    if (!block) throw notManaged(call, ptr);
    return block;
  }
}
