/** Allocations that end at inaccessible pages. */
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { SIZE_LIMIT } from "../../common/errors.ts";
import { AllocatorBase } from "../../layers/index.ts";
import type { MemorySource } from "../../memory/index.ts";
import { MemoryMistake, type Report } from "../report/report.ts";
import type { Entry } from "../report/stack-table.ts";
import type { AllocatorLike } from "../store/allocator-like.ts";
import { gapsOf } from "../store/sample.ts";
import { abiBelow, allocateAligned, type GuardedBelow, protectableSource } from "./below.ts";
import { GuardedBlocks, type GuardedStats } from "./blocks.ts";
import type { Gate } from "./gate.ts";
import { type GuardedAbi, type GuardedCalls, gateOf, guardedAbi } from "./guarded-abi.ts";
import { type GuardedOptions, type GuardedSettings, guardedSettings } from "./options.ts";
import { trapOf } from "./traps.ts";

/**
 * An allocator that places one block in so many beside an inaccessible page, and makes freed ones
 * inaccessible. An access beyond such a block from WebAssembly throws a RuntimeError at that
 * instruction, which `explain` turns into a report. The allocator below serves the other blocks, at
 * nearly no cost. For one thread, like the allocator's own object.
 *
 * An access from JavaScript to an inaccessible page ends the process, unless `faults` is set: then
 * the access goes through, and the next guarded call or `check` reports it.
 *
 * Pointers are addresses in the allocator's memory, a multiple of 16 unless `exact` is set. Sizes
 * are in bytes. Wrong arguments throw a TypeError or RangeError.
 *
 * Algorithm: GWP-ASan (Serebryany et al., ICSE-SEIP 2024; LLVM), after Electric Fence (Perens).
 *
 * @example
 * if (osPages().available) {
 *   const heap = guarded(createHeap({ release: withOsPages }), { every: 1000 });
 *   heap.free(heap.malloc(100));
 *   heap.destroy();
 * }
 */
export class GuardedAllocator extends AllocatorBase implements AllocatorLike, Disposable {
  /**
   * C's functions for the imports of a wasm module. Over a heap that chooses the guarded blocks
   * they are all functions of the heap. Elsewhere they are those of the interface and no others, so
   * that a module cannot free a block by a function that does not know of guards.
   */
  readonly abi: GuardedAbi;
  protected readonly backingMemory: { bytes(): Uint8Array; u32(): Uint32Array };
  readonly #below: GuardedBelow;
  readonly #blocks: GuardedBlocks;
  readonly #gap: () => number;
  /** What WebAssembly calls; undefined where the functions below are not WebAssembly. */
  readonly #gate: Gate | undefined;
  /** Allocations up to and including the next that is guarded. */
  #turn: number;
  /** The range of the slots, which every free compares with; empty after destroy. */
  readonly #from: number;
  #bytes: number;

  /** Use `guarded`. */
  constructor(below: GuardedBelow, source: MemorySource, settings: GuardedSettings) {
    super();
    const blocks = new GuardedBlocks(below, source, settings);
    const { areChosenBelow } = blocks;
    this.#below = below;
    this.#blocks = blocks;
    this.#from = blocks.from;
    this.#bytes = blocks.bytes;
    this.#gap = areChosenBelow
      ? () => Number.POSITIVE_INFINITY
      : gapsOf(settings.every, settings.seed);
    this.#turn = this.#gap() + 1;
    this.backingMemory = { bytes: () => below.u8, u32: () => below.u32 };
    this.#gate = areChosenBelow
      ? undefined
      : gateOf(abiBelow(below), guardedAbi(this.#callsAtTurn()));
    this.#gate?.turn(this.#turn);
    this.#gate?.range(this.#from, this.#bytes);
    const functions = areChosenBelow ? abiBelow(below) : this.#gate?.functions;
    this.abi = (functions as GuardedAbi | undefined) ?? guardedAbi(this);
  }

  /** Returns a block of at least `size` bytes, or 0 if memory is out. */
  malloc(size: number): number {
    if (--this.#turn > 0) return this.#below.malloc(size);
    checkSize(size, "size");
    return this.#guard(this.malloc, this.#blocks.alignment, size) || this.#below.malloc(size);
  }

  /** Returns a block of `count * size` zero bytes, or 0 if memory is out. */
  calloc(count: number, size: number): number {
    if (--this.#turn > 0) return this.#below.calloc(count, size);
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = Math.min(count * size, SIZE_LIMIT);
    const ptr = this.#guard(this.calloc, this.#blocks.alignment, bytes);
    return ptr || this.#below.calloc(count, size);
  }

  /**
   * Returns a block whose address is a multiple of `alignment`, a power of two, or 0 if memory is
   * out.
   *
   * @throws TypeError if the allocator below has no memalign and the block is not guarded.
   */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    const turn = --this.#turn <= 0;
    const ptr = turn ? this.#guard(this.memalign, alignment, size) : 0;
    return ptr || allocateAligned(this.#below, alignment, size);
  }

  /**
   * Resizes a block and returns its address. A guarded block always moves. The contents up to the
   * smaller size stay. A null pointer allocates. Returns 0 if memory is out, or for a pointer that
   * is not a block, which is reported; the block stays as it was then.
   */
  realloc(ptr: number, size: number): number {
    if ((ptr - this.#from) >>> 0 >= this.#bytes) return this.#reallocBelow(ptr, size);
    checkPointer(ptr);
    checkSize(size, "size");
    const block = this.#blocks.blockAt("realloc", this.realloc, ptr);
    if (!block) return 0;
    this.#blocks.checkBlock(this.realloc, block); // before anything changes: it may throw
    const to = this.malloc(size);
    if (to === 0) return 0;
    this.u8.copyWithin(to, ptr, ptr + Math.min(block.size, size));
    this.#blocks.freeMoved(this.realloc, block);
    return to;
  }

  /** Frees a block. Null is ignored; a pointer that is not a guarded block's is reported. */
  free(ptr: number): void {
    if ((ptr - this.#from) >>> 0 >= this.#bytes) {
      this.#below.free(ptr);
      return;
    }
    checkPointer(ptr);
    this.#blocks.free(this.free, ptr);
  }

  /** Returns the bytes that the block at ptr can hold: of a guarded block those requested. */
  usableSize(ptr: number): number {
    if ((ptr - this.#from) >>> 0 >= this.#bytes) return this.#below.usableSize(ptr);
    return this.#blocks.blockAt("usableSize", this.usableSize, ptr)?.size ?? 0;
  }

  /** Whether an address lies among the guarded blocks, live or freed. */
  isGuarded(ptr: number): boolean {
    checkPointer(ptr);
    return (ptr - this.#from) >>> 0 < this.#bytes;
  }

  /**
   * Returns the report of an error that WebAssembly has thrown at a guard, with the stacks of the
   * allocation, the free and the access; undefined for any other error. Without `faults` the
   * address is not known, and the report names the blocks that were used last.
   *
   * @example
   * try {
   *   program.exports.run();
   * } catch (error) {
   *   console.error(heap.explain(error)?.format() ?? error);
   * }
   */
  explain(error: unknown): Report | undefined {
    const trap = trapOf(error);
    if (!trap) return undefined;
    this.#blocks.sendFaults(this.explain);
    return this.#blocks.faults.explain(trap);
  }

  /**
   * Calls `fn` and returns its result. Needs `faults`; without it errors stay as they are.
   *
   * @throws MemoryMistake in the place of a RuntimeError at a guard, which is its `cause`.
   */
  run<R>(fn: () => R): R {
    try {
      return fn();
    } catch (error) {
      const report = this.#blocks.faults.known ? this.explain(error) : undefined;
      if (!report) throw error;
      throw Object.assign(new MemoryMistake(report), { cause: error });
    }
  }

  /** Reports accesses that went through a guard, and writes beside live blocks. */
  check(): void {
    this.#blocks.check(this.check);
  }

  /** Returns statistics as they are now. */
  stats(): GuardedStats {
    return { ...this.#blocks.stats(), bytes: this.#bytes };
  }

  /**
   * Checks all blocks as `check` does, then gives the slots back to the allocator below, with the
   * blocks in them. That allocator goes on, and serves later calls of this one.
   */
  destroy(): void {
    if (this.#bytes === 0) return;
    try {
      this.check();
    } finally {
      this.#turn = Number.POSITIVE_INFINITY;
      this.#bytes = 0;
      this.#gate?.range(0, 0);
      this.#blocks.destroy();
    }
  }

  /** Calls `destroy` at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /** The memory for a wasm module's imports; undefined if the allocator below has none. */
  get memory(): WebAssembly.Memory | undefined {
    return this.#below.memory;
  }

  /**
   * The calls that come through the gate, where the countdown is over. The gate has a countdown of
   * its own, from the same gaps; this allocator's need not agree with it.
   */
  #callsAtTurn(): GuardedCalls {
    const atTurn = (call: () => number): number => {
      if (this.#bytes !== 0) this.#turn = 1;
      const ptr = call();
      this.#gate?.turn(this.#gap() + 1);
      return ptr;
    };
    const u32 = () => this.u32;
    return {
      get u32() {
        return u32();
      },
      malloc: (size) => atTurn(() => this.malloc(size)),
      calloc: (count, size) => atTurn(() => this.calloc(count, size)),
      memalign: (alignment, size) => atTurn(() => this.memalign(alignment, size)),
      realloc: (p, size) => this.realloc(p, size),
      free: (p) => this.free(p),
      usableSize: (p) => this.usableSize(p),
    };
  }

  /** A guarded block, or 0. Its turn is over in either case. */
  #guard(entry: Entry, alignment: number, size: number): number {
    this.#turn = this.#gap() + 1;
    return this.#blocks.guard(entry, alignment, size);
  }

  #reallocBelow(ptr: number, size: number): number {
    return ptr === 0 ? this.malloc(size) : this.#below.realloc(ptr, size);
  }
}

/**
 * Guards a sample of an allocator's blocks, or all of them, by inaccessible pages. The allocator
 * below can be used beside it; `destroy` ends the guards and leaves it as it was.
 *
 * @throws TypeError for unknown options and wrong kinds of values, and for an allocator without a
 * source. RangeError for values out of range, and where pages cannot be made inaccessible.
 * @example
 * if (osPages().available) {
 *   const heap = guarded(createHeap({ release: withOsPages }), { every: 1, slots: 256 });
 *   heap.destroy();
 * }
 */
export function guarded(allocator: GuardedBelow, options: GuardedOptions = {}): GuardedAllocator {
  const settings = guardedSettings(options);
  const source = options.source ?? allocator?.source;
  if (!source) throw new TypeError("guarded needs a heap, or the option source for its memory");
  return new GuardedAllocator(allocator, protectableSource(source), settings);
}
