/** A region: an allocator whose blocks, and whatever else is booked on it, end with it. */

import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { SIZE_LIMIT } from "../../common/errors.ts";
import { AllocatorBase } from "../pool/allocator-base.ts";
import type { Memory, Pool } from "../pool/contract.ts";
import type { PoolStats } from "../pool/counter.ts";
import {
  blocksLeft,
  blocksUnlisted,
  groundEndless,
  type Held,
  regionEnded,
  regionsOpen,
  resourceAsync,
} from "../pool/errors.ts";
import {
  alignedSet,
  alignedTotal,
  Chain,
  freedSet,
  HEADER,
  Owners,
  ownerSet,
  rawAt,
  sizeAt,
  sizeSet,
  totalAt,
} from "./block-header.ts";
import { Failures } from "./failures.ts";
import { Books, Scope, type ScopeProfile } from "./profile.ts";
import { Resources } from "./resources.ts";

export interface RegionOptions {
  /**
   * The name in profiles and reports; regions of one label are added up. Profiles keep each label
   * for good: name kinds of work, not single ones. Default: "region".
   */
  label?: string | undefined;
  /** The end throws a LayerError with the blocks that were not freed by hand. */
  check?: boolean | undefined;
  /** Keep where each block was allocated, for the report. Costs microseconds a block. */
  stacks?: boolean | undefined;
}

/** Regions by number: one table for a thread, as the module has one instance for each. */
const owners = new Owners<Region>();

/**
 * The allocator of a scope. free, realloc and usableSize take pointers of any region: a block stays
 * in the region that it was allocated in. For the thread that made it.
 *
 * After the end, allocation throws a LayerError ERR_REGION_ENDED.
 */
export class Region extends AllocatorBase implements Disposable, AsyncDisposable {
  readonly label: string;
  /** The region around this one; the ground region has none. */
  readonly outer: Region | undefined;
  /** The composition that serves this region. */
  readonly pool: Pool;
  protected readonly backingMemory: Memory;
  #words: Uint32Array;
  #source: Pick<Pool, "get" | "put">;
  #ended = false;
  readonly #owner: number;
  readonly #options: RegionOptions;
  readonly #chain: Chain | undefined;
  readonly #stacks: Map<number, Error> | undefined;
  readonly #scope: Scope;
  readonly #books = new Books();
  readonly #inner = new Set<Region>();
  readonly #resources = new Resources();
  readonly #onEnd: () => void;

  /** Use `enter` or `openRegion`. */
  constructor(
    pool: Pool,
    outer: Region | undefined,
    options: RegionOptions,
    onEnd: () => void = () => {},
  ) {
    super();
    this.label = options.label ?? (outer ? "region" : "ground");
    this.outer = outer;
    this.pool = pool;
    this.backingMemory = pool.memory;
    this.#words = pool.memory.u32();
    this.#source = pool;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#owner = owners.add(this);
    // Lists cost some nanoseconds a block: only where blocks must be found again.
    if (options.check || (outer && !pool.traits.drops)) this.#chain = new Chain();
    if (options.stacks) this.#stacks = new Map();
    this.#scope = outer ? outer.#scope.innerOf(this.label) : new Scope(this.label);
    this.#scope.begin(this.#books);
    if (outer) outer.#inner.add(this);
  }

  get ended(): boolean {
    return this.#ended;
  }

  malloc(size: number): number {
    checkSize(size, "size");
    const raw = this.#source.get(size + HEADER);
    if (raw === 0) return 0;
    const ptr = raw + HEADER;
    const words = this.#wordsAt(ptr);
    sizeSet(words, ptr, size);
    return this.#settle(words, ptr, size);
  }

  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = count * size;
    const ptr = bytes > SIZE_LIMIT ? 0 : this.malloc(bytes);
    if (ptr !== 0 && !this.pool.traits.zeroed) this.u8.fill(0, ptr, ptr + bytes);
    return ptr;
  }

  /** A block whose address is a multiple of `alignment`, a power of two; 0 = out of memory. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    if (alignment <= HEADER) return this.malloc(size);
    checkSize(size, "size");
    const total = alignedTotal(alignment, size);
    const raw = this.#source.get(total);
    if (raw === 0) return 0;
    const words = this.#wordsAt(raw + total);
    return this.#settle(words, alignedSet(words, raw, alignment, size), size);
  }

  /**
   * Resizes a block, moving it within its region unless it fits and is more than half full;
   * contents up to the smaller size stay. A null pointer allocates. 0 = out of memory, and ptr is
   * as it was. A block from memalign that moves is aligned to 16.
   *
   * @throws LayerError when ptr is no block of a region that lives.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    if (ptr === 0) return this.malloc(size);
    checkSize(size, "size");
    const words = this.#wordsAt(ptr);
    const owner = owners.of("realloc", words, ptr);
    const usable = sizeAt(words, ptr);
    if (size <= usable && size >= usable / 2) return ptr;
    return owner.#move(ptr, usable, size);
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws LayerError when ptr is no block of a region that lives.
   */
  free(ptr: number): void {
    checkPointer(ptr);
    if (ptr === 0) return;
    owners.of("free", this.#wordsAt(ptr), ptr).#release(ptr);
  }

  /** Bytes that the block at ptr can hold; 0 for null. */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    if (ptr === 0) return 0;
    const words = this.#wordsAt(ptr);
    owners.of("usableSize", words, ptr);
    return sizeAt(words, ptr);
  }

  /**
   * The region that a block belongs to.
   *
   * @throws LayerError when ptr is no block of a region that lives.
   */
  ownerOf(ptr: number): Region {
    checkPointer(ptr);
    return owners.of("ownerOf", this.#wordsAt(ptr), ptr);
  }

  /** Ends a Disposable, else an AsyncDisposable, with this region; null is ignored. */
  use<T extends Disposable | AsyncDisposable | null | undefined>(value: T): T {
    this.#alive();
    this.#resources.use(value, false);
    return value;
  }

  /** use that prefers Symbol.asyncDispose, and waits for it. */
  useAsync<T extends Disposable | AsyncDisposable | null | undefined>(value: T): T {
    this.#alive();
    this.#resources.use(value, true);
    return value;
  }

  /** Calls `end(value)` at the end: for files, sockets and handles without a dispose method. */
  adopt<T>(value: T, end: (value: T) => void): T {
    this.defer(() => end(value));
    return value;
  }

  adoptAsync<T>(value: T, end: (value: T) => PromiseLike<void> | void): T {
    this.deferAsync(() => end(value));
    return value;
  }

  /** Calls `end` at the end. */
  defer(end: () => void): void {
    this.#alive();
    this.#resources.defer(end, false);
  }

  deferAsync(end: () => PromiseLike<void> | void): void {
    this.#alive();
    this.#resources.defer(end, true);
  }

  /** Blocks in use, oldest first; needs `check`, or a composition that does not drop. */
  blocks(): Held[] {
    if (!this.#chain) throw blocksUnlisted(this.label);
    const words = this.backingMemory.u32();
    return this.#chain.list(words).map((ptr) => {
      const stack = this.#stacks?.get(ptr);
      return { ptr, size: sizeAt(words, ptr), ...(stack && { stack: stackLines(stack) }) };
    });
  }

  /** What this region counts; `held` is what its pool has beyond the bytes in use. */
  stats(): PoolStats {
    const figures = this.#books.stats();
    const pool = this.pool.stats?.();
    return pool ? { ...figures, held: pool.held + pool.bytes - figures.bytes } : figures;
  }

  /** What regions of this label did here, and those entered within them. */
  profile(): ScopeProfile {
    return this.#scope.profile();
  }

  /**
   * Ends the regions within, then everything that was booked, the latest first, then gives all
   * memory back. Ending twice does nothing. Everything is done before an error is thrown.
   *
   * @throws LayerError ERR_LEAK with `check`, ERR_REGION_OPEN, ERR_ASYNC_RESOURCE; what resources
   * throw; several as a SuppressedError.
   */
  destroy(): void {
    if (!this.#finish()) return;
    const failures = new Failures();
    this.#innerEnd(failures);
    if (this.#resources.end(failures)) failures.add(resourceAsync(this.label));
    this.#memoryEnd(failures, true);
    failures.end();
  }

  /** end that waits for async resources, each before the one that was booked before it. */
  async destroyAsync(): Promise<void> {
    if (!this.#finish()) return;
    const failures = new Failures();
    this.#innerEnd(failures);
    await this.#resources.destroyAsync(failures);
    this.#memoryEnd(failures, true);
    failures.end();
  }

  /** The end after `error`, which is thrown: blocks that were not freed are no news then. */
  destroyAfter(error: unknown): never {
    const failures = this.#failuresAfter(error);
    if (this.#finish()) {
      this.#innerEnd(failures);
      if (this.#resources.end(failures)) failures.add(resourceAsync(this.label));
      this.#memoryEnd(failures, false);
    }
    failures.end();
    throw error;
  }

  async destroyAfterAsync(error: unknown): Promise<never> {
    const failures = this.#failuresAfter(error);
    if (this.#finish()) {
      this.#innerEnd(failures);
      await this.#resources.destroyAsync(failures);
      this.#memoryEnd(failures, false);
    }
    failures.end();
    throw error;
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroyAsync();
  }

  /**
   * The words up to ptr. To ask the memory for them at each call took half of the time. Growth
   * empties views of a memory that moves, and leaves shorter ones of a shared memory right.
   */
  #wordsAt(ptr: number): Uint32Array {
    if (ptr >>> 2 >= this.#words.length) this.#words = this.backingMemory.u32();
    return this.#words;
  }

  #settle(words: Uint32Array, ptr: number, size: number): number {
    ownerSet(words, ptr, this.#owner);
    this.#chain?.link(words, ptr);
    this.#books.got(size);
    if (this.#stacks) this.#stacks.set(ptr, new Error("allocated"));
    return ptr;
  }

  #release(ptr: number): void {
    const words = this.#wordsAt(ptr); // its own: the list goes through all blocks of this region
    const raw = rawAt(words, ptr);
    const total = totalAt(words, ptr);
    this.#chain?.unlink(words, ptr);
    this.#books.put(sizeAt(words, ptr));
    this.#stacks?.delete(ptr);
    freedSet(words, ptr);
    this.#source.put(raw, total);
  }

  #move(ptr: number, usable: number, size: number): number {
    const to = this.malloc(size);
    if (to === 0) return 0;
    this.u8.copyWithin(to, ptr, ptr + Math.min(usable, size));
    this.#release(ptr);
    return to;
  }

  #alive(): void {
    if (this.#ended) throw regionEnded(this.label);
  }

  #failuresAfter(error: unknown): Failures {
    const failures = new Failures();
    failures.add(error);
    return failures;
  }

  /** From here on nothing is allocated; false when that was so before. */
  #finish(): boolean {
    if (this.#ended) return false;
    if (!this.outer) throw groundEndless();
    this.#ended = true;
    return true;
  }

  #innerEnd(failures: Failures): void {
    const inner = [...this.#inner].reverse();
    if (inner.length === 0) return;
    for (const region of inner) failures.attempt(() => region.destroy());
    failures.add(
      regionsOpen(
        this.label,
        inner.map(({ label }) => label),
      ),
    );
  }

  #memoryEnd(failures: Failures, report: boolean): void {
    const leaks = this.#options.check && report ? this.blocks() : [];
    if (this.#chain && !this.pool.traits.drops) this.#putAll(this.#chain, failures);
    failures.attempt(() => this.pool.destroy());
    if (leaks.length > 0) failures.add(blocksLeft(this.label, leaks));
    this.#booksClose();
  }

  /** A put may throw what a layer has found; the others go all the same. */
  #putAll(chain: Chain, failures: Failures): void {
    for (const ptr of chain.list(this.backingMemory.u32())) {
      const words = this.backingMemory.u32();
      failures.attempt(() => this.#source.put(rawAt(words, ptr), totalAt(words, ptr)));
    }
  }

  #booksClose(): void {
    this.#source = endedSource(this.label);
    owners.remove(this.#owner);
    this.#scope.end(this.#books);
    this.#books.drop();
    if (this.outer) this.outer.#inner.delete(this);
    this.#onEnd();
  }
}

/** Stands in for the pool of an ended region, so that no live call pays for the question. */
function endedSource(label: string): Pick<Pool, "get" | "put"> {
  const refuse = () => {
    throw regionEnded(label);
  };
  return { get: refuse, put: refuse };
}

const OWN_CALLS = /\b(Region|AllocatorBase|Ambient)\.|node:async_hooks/;
/** This module's files, bundled or not. */
const OWN_FILES = /\/(?:dist\/lib\/layers|src\/layers\/\w+\/[\w-]+)\.[jt]s:/;

/** A stack without the lines of this library, as far as names betray them. */
function stackLines(error: Error): string {
  const lines = (error.stack ?? "").split("\n").slice(1);
  return lines.filter((line) => !OWN_CALLS.test(line) && !OWN_FILES.test(line)).join("\n");
}
