/** Blocks that are freed with their last reference. */
import { outOfMemory } from "../common/errors.ts";
import { type AllocatorBase, currentRegion } from "../layers/index.ts";
import { cyclesFind } from "./cycles.ts";
import { notManaged } from "./errors.ts";
import { type Kind, kind, pointersOf } from "./kinds.ts";

/** One block of those that hold each other. */
export interface CycleBlock {
  readonly ptr: number;
  readonly size: number;
  readonly kind: string;
}

interface Counted {
  readonly size: number;
  readonly kind: Kind;
  count: number;
  weak: Weak | undefined;
}

const BYTES = kind("bytes");

/** A reference that does not keep its block. */
export class Weak {
  #ptr: number;

  /** Use `counting.weak`. */
  constructor(ptr: number) {
    this.#ptr = ptr;
  }

  /** The block's address, 0 once it is gone. `retain` it to keep it. */
  get ptr(): number {
    return this.#ptr;
  }

  /** For the manager: the block is gone. */
  clear(): void {
    this.#ptr = 0;
  }
}

/**
 * Reference counting in a region. A new block has one reference; the release of the last one
 * finalizes the block, releases what it points to, and frees it. A pointer that is stored in a
 * block at an offset that its kind names is a reference of its own: retain it, or hand over yours.
 * Blocks that hold each other are never freed by counting: `cycles` reports them, and the end of
 * the region frees them like everything else. Price: a table entry a block.
 *
 * @example
 * const counting = new Counting();
 * const list = kind("list", { pointers: [0] });
 * const tail = counting.alloc(16, list);
 * const head = counting.alloc(16, list);
 * currentRegion().u32[head / 4] = tail; // hands over the reference
 * counting.release(head); // frees both
 */
export class Counting {
  readonly allocator: AllocatorBase;
  readonly #blocks = new Map<number, Counted>();

  constructor(allocator: AllocatorBase = currentRegion()) {
    this.allocator = allocator;
  }

  /** How many blocks live. */
  get live(): number {
    return this.#blocks.size;
  }

  /**
   * A block of `size` zero bytes with one reference.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  alloc(size: number, of: Kind = BYTES): number {
    const ptr = this.allocator.calloc(1, size);
    if (ptr === 0) throw outOfMemory("alloc", size);
    this.#blocks.set(ptr, { size, kind: of, count: 1, weak: undefined });
    return ptr;
  }

  /**
   * Adds a reference; answers ptr.
   *
   * @throws ManagedError when ptr is no live block.
   */
  retain(ptr: number): number {
    this.#at("retain", ptr).count += 1;
    return ptr;
  }

  /**
   * Takes a reference away; null is ignored. Long chains are released without recursion.
   *
   * @throws ManagedError when ptr is no live block.
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

  /** How many references a block has. */
  count(ptr: number): number {
    return this.#at("count", ptr).count;
  }

  /** A reference that does not keep the block; the same for all who ask. */
  weak(ptr: number): Weak {
    const block = this.#at("weak", ptr);
    block.weak ??= new Weak(ptr);
    return block.weak;
  }

  /**
   * Blocks that only blocks hold, in groups that reach each other: what counting alone never frees.
   * Blocks that nothing but such a group holds are no part of it. Costs a look at all blocks.
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
