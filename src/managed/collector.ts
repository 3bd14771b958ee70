/** A tracing collector within a region: blocks that nobody can reach are freed. */
import { outOfMemory } from "../common/errors.ts";
import { type AllocatorBase, currentRegion, Region } from "../layers/index.ts";
import { BlockTable } from "./blocktable.ts";
import { collectorEnded, handleReleased, notManaged } from "./errors.ts";
import { type Kind, kind, pointersOf } from "./kinds.ts";

export interface CollectorOptions {
  /** Where blocks come from. Default: the current region, whose end ends the collector. */
  allocator?: AllocatorBase | undefined;
  /**
   * Bytes that are allocated between collections; 0 means that only `collect` and `step` do any.
   * Default: 1 MiB, or what was live after the last one, if that is more.
   */
  every?: number | undefined;
}

export interface CollectorStats {
  readonly blocks: number;
  readonly bytes: number;
  /** Collections that came to their end. */
  readonly collections: number;
  /** Blocks that were freed by them. */
  readonly freed: number;
}

/** Blocks that a step looks at, unless told. */
const STEP = 256;
/** Steps of an allocation during a collection: it must end before memory does. */
const STEP_AT_ALLOC = 64;

const ANY = kind("any", { pointers: "any" });

/** A root: its block lives, and all that can be reached from it. */
export class Handle implements Disposable {
  #ptr: number;
  readonly #roots: Set<Handle>;
  readonly #shade: (ptr: number) => void;

  /** Use `collector.handle`. */
  constructor(ptr: number, roots: Set<Handle>, shade: (ptr: number) => void) {
    this.#ptr = ptr;
    this.#roots = roots;
    this.#shade = shade;
    roots.add(this);
  }

  /** @throws ManagedError after release. */
  get ptr(): number {
    if (!this.#roots.has(this)) throw handleReleased();
    return this.#ptr;
  }

  /** Holds another block, or none (0). */
  set ptr(ptr: number) {
    if (!this.#roots.has(this)) throw handleReleased();
    this.#shade(ptr);
    this.#ptr = ptr;
  }

  destroy(): void {
    this.#roots.delete(this);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * Mark and sweep. Roots are handles, exactly. Blocks of a kind with `pointers` are read at those
 * offsets, for addresses that `alloc` gave; in others ("any", the default) every word that could be
 * an address in a block counts as one (conservative, interior pointers included).
 *
 * A collection can run in steps between other work, and does so during `alloc`. While one is under
 * way, a pointer is stored in a block of a kind with offsets by `write`, which tells the collector.
 * Blocks of kind "any" may be written at will: they are read again at the end, in one go.
 * Between two calls of `alloc` nothing is freed: a block must be reachable before the next.
 *
 * Algorithm: Dijkstra, Lamport et al., On-the-fly garbage collection, 1978 (barrier); Boehm and
 * Weiser, 1988 (conservative blocks). Price: 16 bytes a block, and 4 bytes a block during a
 * collection.
 *
 * @example
 * const gc = new Collector();
 * const pair = kind("pair", { pointers: [0, 4] });
 * using root = gc.handle(gc.alloc(8, pair));
 * gc.write(root.ptr, 4, gc.alloc(8, pair));
 * gc.collect(); // both stay
 */
export class Collector implements Disposable {
  readonly allocator: AllocatorBase;
  readonly #table: BlockTable;
  readonly #roots = new Set<Handle>();
  readonly #every: number;
  #budget: number;
  /** Blocks that were reached and not read yet. */
  #grey: number[] = [];
  #marking = false;
  #sweeping = false;
  #collections = 0;
  #freed = 0;
  #ended = false;

  constructor({ allocator = currentRegion(), every = 2 ** 20 }: CollectorOptions = {}) {
    this.allocator = allocator;
    this.#table = new BlockTable(allocator);
    this.#every = every;
    this.#budget = every;
    if (allocator instanceof Region && allocator.outer) allocator.defer(() => this.destroy());
  }

  /**
   * A block of `size` zero bytes.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY, after a collection that did not help.
   */
  alloc(size: number, of: Kind = ANY): number {
    if (this.#ended) throw collectorEnded();
    if (this.#every > 0) this.#pace(size);
    const ptr = this.#table.add(size, of) || this.#allocAfterAll(size, of);
    // New blocks count as reached while others are marked. A sweep never comes to them.
    if (this.#marking) this.#table.reach(ptr);
    return ptr;
  }

  /**
   * A root that holds a block, or none yet (0).
   *
   * @throws ManagedError when ptr is no block of this collector.
   */
  handle(ptr: number): Handle {
    if (this.#ended) throw collectorEnded();
    const shade = (next: number) => this.#checkedShade("handle", next);
    shade(ptr);
    return new Handle(ptr, this.#roots, shade);
  }

  /**
   * Stores a pointer (or 0) at an offset of a block, so that a collection under way learns of it.
   *
   * @throws ManagedError when one of them is no block of this collector.
   */
  write(ptr: number, offset: number, target: number): void {
    if (!this.#table.has(ptr)) throw notManaged("write", ptr);
    this.#checkedShade("write", target);
    this.allocator.u32[(ptr + offset) >>> 2] = target;
  }

  /** Collects until everything that cannot be reached now is freed; answers how many blocks. */
  collect(): number {
    while (this.#marking || this.#sweeping) this.step(Number.POSITIVE_INFINITY);
    const before = this.#freed;
    this.#begin();
    while (!this.step(Number.POSITIVE_INFINITY));
    return this.#freed - before;
  }

  /**
   * A piece of a collection, which begins with it if none is under way: looks at about `blocks`
   * blocks. Answers whether the collection has come to its end.
   */
  step(blocks = STEP): boolean {
    if (this.#ended) throw collectorEnded();
    if (!this.#marking && !this.#sweeping) this.#begin();
    if (this.#marking) this.#mark(blocks);
    else this.#sweep(blocks);
    return !this.#marking && !this.#sweeping;
  }

  stats(): CollectorStats {
    const { count: blocks, bytes } = this.#table;
    return { blocks, bytes, collections: this.#collections, freed: this.#freed };
  }

  /** Finalizes and frees all blocks. The end of the collector's region does it too. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#roots.clear();
    this.#table.clear();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #begin(): void {
    this.#table.sort();
    this.#marking = true;
    for (const handle of this.#roots) this.#shade(handle.ptr);
  }

  /** A reached block waits to be read. */
  #shade(ptr: number): void {
    if (this.#marking && ptr !== 0 && this.#table.reach(ptr)) this.#grey.push(ptr);
  }

  #checkedShade(call: string, ptr: number): void {
    if (ptr !== 0 && !this.#table.has(ptr)) throw notManaged(call, ptr);
    this.#shade(ptr);
  }

  #mark(blocks: number): void {
    for (let left = blocks; left > 0 && this.#grey.length > 0; left--) {
      this.#read(this.#grey.pop() as number);
    }
    if (this.#grey.length > 0) return;
    // Words of these blocks may have changed unseen since they were read.
    this.#table.eachReachedAny((ptr) => this.#read(ptr));
    while (this.#grey.length > 0) this.#read(this.#grey.pop() as number);
    this.#marking = false;
    this.#sweeping = true;
    this.#table.sweepBegin();
  }

  #read(ptr: number): void {
    const { size, kind: of } = this.#table.at(ptr);
    const exact = of.pointers !== "any";
    pointersOf(this.allocator.u32, ptr, size, of, (word) => {
      const target = exact ? word : this.#table.blockAt(word);
      if (this.#table.has(target)) this.#shade(target);
    });
  }

  #sweep(blocks: number): void {
    this.#freed += this.#table.sweep(blocks);
    if (!this.#table.swept) return;
    this.#sweeping = false;
    this.#collections += 1;
    this.#budget = Math.max(this.#every, this.#table.bytes);
  }

  #pace(size: number): void {
    this.#budget -= size;
    if (this.#marking || this.#sweeping || this.#budget < 0) this.step(STEP_AT_ALLOC);
  }

  #allocAfterAll(size: number, of: Kind): number {
    this.collect();
    const ptr = this.#table.add(size, of);
    if (ptr === 0) throw outOfMemory("alloc", size);
    return ptr;
  }
}
