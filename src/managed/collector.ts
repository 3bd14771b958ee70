/** A tracing collector within a region: blocks that cannot be reached are freed. */
import { outOfMemory } from "../common/errors.ts";
import { type AllocatorBase, currentRegion, Region } from "../layers/index.ts";
import { BlockTable } from "./blocktable.ts";
import { collectorEnded, handleDestroyed, notManaged } from "./errors.ts";
import { type Kind, kind, pointersOf } from "./kinds.ts";

/** Options of a collector. */
export interface CollectorOptions {
  /**
   * Where blocks come from. Default: the current region. The end of a region destroys its
   * collectors.
   */
  allocator?: AllocatorBase | undefined;
  /**
   * Bytes that are allocated between two collections, or the bytes that were live after the last
   * one if that is more. 0: only `collect` and `step` collect. Default: 1 MiB.
   */
  every?: number | undefined;
}

/** Statistics of a collector. */
export interface CollectorStats {
  /** Number of blocks that exist. */
  readonly blocks: number;
  /** Bytes of these blocks, as they were asked for. */
  readonly bytes: number;
  /** Number of collections that were completed. */
  readonly collections: number;
  /** Number of blocks that collections have freed. */
  readonly freed: number;
}

/** Blocks that a step looks at by default. */
const STEP = 256;
/** Blocks that an allocation during a collection looks at: collecting must outpace allocation. */
const STEP_AT_ALLOC = 64;

const ANY = kind("any", { pointers: "any" });

/** A root: its block lives, and so do all blocks that can be reached from it. */
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

  /**
   * Address of the block, or 0. Setting it makes the handle hold another block, or none (0).
   *
   * @throws ManagedError ERR_HANDLE_RELEASED after `destroy`; ERR_NOT_MANAGED for a value that is
   * not a block of the collector.
   */
  get ptr(): number {
    if (!this.#roots.has(this)) throw handleDestroyed();
    return this.#ptr;
  }

  set ptr(ptr: number) {
    if (!this.#roots.has(this)) throw handleDestroyed();
    this.#shade(ptr);
    this.#ptr = ptr;
  }

  /**
   * Ends the handle. Its block stops being a root, and a later collection frees it if it cannot be
   * reached otherwise.
   */
  destroy(): void {
    this.#roots.delete(this);
  }

  /** `destroy`, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * An incremental mark-and-sweep collector. The roots are its handles. Blocks of a kind with offsets
 * in `pointers` are read there, exactly; in blocks of a kind with "any", the default, every word
 * that could be an address in a block counts as one (conservative, with interior pointers).
 *
 * A collection can run in steps between other work, and does so during `alloc`. Store pointers in
 * blocks of a kind with offsets by `write`, which tells a running collection of them. Blocks of a
 * kind with "any" can be written directly: a collection reads them again before its end. Only
 * `alloc`, `collect`, `step` and `destroy` free blocks: a new block must be reachable before the
 * next of these calls.
 *
 * Algorithm: Dijkstra, Lamport et al., On-the-fly garbage collection, 1978 (barrier); Boehm and
 * Weiser, 1988 (conservative blocks). Price: 16 bytes for each block, and 4 more during a
 * collection. For one thread.
 *
 * @example
 * const gc = new Collector();
 * const pair = kind("pair", { pointers: [0, 4] });
 * using root = gc.handle(gc.alloc(8, pair));
 * gc.write(root.ptr, 4, gc.alloc(8, pair));
 * gc.collect(); // both stay
 */
export class Collector implements Disposable {
  /** Where blocks come from. */
  readonly allocator: AllocatorBase;
  readonly #table: BlockTable;
  readonly #roots = new Set<Handle>();
  readonly #every: number;
  #budget: number;
  /** Blocks that were reached and are still to be read. */
  #grey: number[] = [];
  #marking = false;
  #sweeping = false;
  #collections = 0;
  #freed = 0;
  #ended = false;

  /** A collector without blocks. */
  constructor({ allocator = currentRegion(), every = 2 ** 20 }: CollectorOptions = {}) {
    this.allocator = allocator;
    this.#table = new BlockTable(allocator);
    this.#every = every;
    this.#budget = every;
    if (allocator instanceof Region && allocator.outer) allocator.defer(() => this.destroy());
  }

  /**
   * A block of `size` zero bytes, aligned to 16. May do a step of a collection, or a whole one when
   * memory is out.
   *
   * @param size bytes, a whole number from 0 to 2^31 - 17.
   * @param of what the collector knows of the block. Default: pointers "any".
   * @throws HeapError ERR_OUT_OF_MEMORY; ManagedError ERR_COLLECTOR_ENDED.
   */
  alloc(size: number, of: Kind = ANY): number {
    if (this.#ended) throw collectorEnded();
    if (this.#every > 0) this.#pace(size);
    const ptr = this.#table.add(size, of) || this.#allocAfterAll(size, of);
    // New blocks count as reached while others are marked. A sweep does not come to them.
    if (this.#marking) this.#table.reach(ptr);
    return ptr;
  }

  /**
   * A root that holds a block, or none yet (0).
   *
   * @throws ManagedError ERR_NOT_MANAGED when ptr is not a block of this collector;
   * ERR_COLLECTOR_ENDED.
   */
  handle(ptr: number): Handle {
    if (this.#ended) throw collectorEnded();
    const shade = (next: number) => this.#checkedShade("handle", next);
    shade(ptr);
    return new Handle(ptr, this.#roots, shade);
  }

  /**
   * Stores a pointer (or 0) in a block, so that a running collection knows of it.
   *
   * @param ptr the block.
   * @param offset in bytes, a multiple of 4.
   * @param target the address that is stored.
   * @throws ManagedError ERR_NOT_MANAGED when ptr or target is not a block of this collector.
   */
  write(ptr: number, offset: number, target: number): void {
    if (!this.#table.has(ptr)) throw notManaged("write", ptr);
    this.#checkedShade("write", target);
    this.allocator.u32[(ptr + offset) >>> 2] = target;
  }

  /**
   * Collects until everything that cannot be reached now is freed; returns the number of blocks.
   *
   * @throws ManagedError ERR_COLLECTOR_ENDED; what a finalizer throws.
   */
  collect(): number {
    while (this.#marking || this.#sweeping) this.step(Number.POSITIVE_INFINITY);
    const before = this.#freed;
    this.#begin();
    while (!this.step(Number.POSITIVE_INFINITY));
    return this.#freed - before;
  }

  /**
   * Does a part of a collection, and begins one if none is running. Returns whether the collection
   * has ended. The step that ends the marking also reads all reached blocks of kinds with "any".
   *
   * @param blocks about how many blocks to look at. Default: 256.
   * @throws ManagedError ERR_COLLECTOR_ENDED; what a finalizer throws.
   */
  step(blocks = STEP): boolean {
    if (this.#ended) throw collectorEnded();
    if (!this.#marking && !this.#sweeping) this.#begin();
    if (this.#marking) this.#mark(blocks);
    else this.#sweep(blocks);
    return !this.#marking && !this.#sweeping;
  }

  /** Statistics as they are now. */
  stats(): CollectorStats {
    const { count: blocks, bytes } = this.#table;
    return { blocks, bytes, collections: this.#collections, freed: this.#freed };
  }

  /** Finalizes and frees all blocks. The end of the collector's region does so too. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#roots.clear();
    this.#table.clear();
  }

  /** `destroy`, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  #begin(): void {
    this.#table.sort();
    this.#marking = true;
    for (const handle of this.#roots) this.#shade(handle.ptr);
  }

  /** Marks a block as reached, to be read later. */
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
    // Words of these blocks may have been written since they were read.
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
