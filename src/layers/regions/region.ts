/** A region: an allocator whose blocks and resources end with it. */
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { SIZE_LIMIT } from "../../common/errors.ts";
import type { Lifetime } from "../../common/views.ts";
import { AllocatorBase } from "../pool/allocator-base.ts";
import type { Memory, Pool } from "../pool/contract.ts";
import type { PoolStats } from "../pool/counter.ts";
import {
  groundCannotEnd,
  type Held,
  noBlockList,
  regionEnded,
  regionLeak,
  regionsOpen,
  resourceAsync,
} from "../pool/errors.ts";
import {
  alignedHeaderSet,
  alignedTotal,
  freedSet,
  HEADER,
  headerSet,
  Owners,
  rawAt,
  sizeAt,
  totalAt,
} from "./block-header.ts";
import { Failures } from "./failures.ts";
import type { RegionOptions } from "./options.ts";
import { RegionCounter, Scope, type ScopeProfile } from "./profile.ts";
import { RegionBlocks } from "./region-blocks.ts";
import { endedSource, memoryOnCall, poolOnCall, RegionMemory } from "./region-memory.ts";
import { Resources } from "./resources.ts";

const NO_WORDS = new Uint32Array(0);

/** Regions by number. Each thread has its own instance of this module, and so its own table. */
const owners = new Owners<Region>();

/**
 * The allocator of a scope. `free`, `realloc` and `usableSize` take pointers of any region: a block
 * stays in the region that it was allocated in. For the thread that made it.
 *
 * After the end of the region, allocation throws LayerError ERR_REGION_ENDED.
 */
export class Region extends AllocatorBase implements Disposable, AsyncDisposable {
  /** The name in profiles and reports. */
  readonly label: string;
  /** The region around this one; undefined for the ground region. */
  readonly outer: Region | undefined;
  protected readonly backingMemory: Memory;
  readonly #memory: RegionMemory;
  /** The memory of all regions, when this one has ended. */
  #memoryAfter: Memory | undefined;
  #words: Uint32Array = NO_WORDS;
  /** Undefined: `#make` makes it at the first use of the memory. */
  #pool: Pool | undefined;
  #make: (() => Pool) | undefined;
  #source: Pick<Pool, "get" | "put">;
  #ended = false;
  readonly #owner: number;
  readonly #checks: boolean;
  readonly #blocks: RegionBlocks | undefined;
  readonly #scope: Scope;
  readonly #counter = new RegionCounter();
  readonly #inner = new Set<Region>();
  readonly #resources = new Resources();
  readonly #onEnd: (() => void) | undefined;

  /** Use `enter` or `openRegion`. The ground region is given a function that makes its pool. */
  constructor(
    pool: Pool | (() => Pool),
    outer: Region | undefined,
    { label = outer ? "region" : "ground", check = false, stacks = false }: RegionOptions,
    onEnd?: () => void,
  ) {
    super();
    this.label = label;
    this.outer = outer;
    const made = typeof pool === "function" ? undefined : pool;
    this.#pool = made;
    this.#make = typeof pool === "function" ? pool : undefined;
    this.#source = made ?? poolOnCall(() => this.pool);
    this.#memory = new RegionMemory(made?.memory ?? memoryOnCall(() => this.pool));
    this.backingMemory = this.#memory;
    this.#checks = check;
    this.#onEnd = onEnd;
    this.#owner = owners.add(this);
    // A list costs some nanoseconds for each block: only where blocks must be found again.
    if (check || made?.traits.drops === false) this.#blocks = new RegionBlocks(stacks);
    this.#scope = outer ? outer.#scope.innerOf(label) : new Scope(label);
    this.#scope.begin(this.#counter);
    if (outer) outer.#inner.add(this);
  }

  /** The composition that serves this region. */
  get pool(): Pool {
    return this.#pool ?? this.#bind();
  }

  /** @internal Whether the pool has been made. */
  get isBound(): boolean {
    return this.#pool !== undefined;
  }

  /** @internal Makes the pool now, by another function. */
  bindTo(make: () => Pool): void {
    this.#make = make;
    this.#bind();
  }

  /** @internal For views of blocks: they end with the memory. */
  override get lifetime(): Lifetime {
    return this.#memory.lifetime;
  }

  /** @internal The memory, as sources that stand on this region see it. */
  get regionMemory(): Memory {
    return this.#memory;
  }

  /** Its label and what it has in use. */
  override toString(): string {
    const { bytes } = this.#counter;
    return `Region "${this.label}" (${this.#ended ? "ended" : `${bytes} bytes in use`})`;
  }

  /** Whether the region has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * A block of at least `size` bytes, aligned to 16; 0 = out of memory.
   *
   * @throws TypeError or RangeError unless size is a whole number from 0 to 2^31 - 1.
   */
  malloc(size: number): number {
    checkSize(size, "size");
    const raw = this.#source.get(size + HEADER);
    if (raw === 0) return 0;
    const ptr = raw + HEADER;
    const words = this.#wordsAt(ptr);
    headerSet(words, ptr, size, this.#owner);
    this.#blocks?.add(words, ptr);
    this.#counter.got(size);
    return ptr;
  }

  /**
   * A block of `count * size` zero bytes; 0 = out of memory, or the product is above 2^31 - 1.
   *
   * @throws TypeError or RangeError unless both are whole numbers from 0 to 2^31 - 1.
   */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = count * size;
    const ptr = bytes > SIZE_LIMIT ? 0 : this.malloc(bytes);
    if (ptr !== 0 && !this.pool.traits.zeroed) this.u8.fill(0, ptr, ptr + bytes);
    return ptr;
  }

  /**
   * A block whose address is a multiple of `alignment`, a power of two up to 2^30; 0 = out of
   * memory. Price: `alignment` bytes and 16 more.
   *
   * @throws TypeError or RangeError for another alignment or size.
   */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    if (alignment <= HEADER) return this.malloc(size);
    checkSize(size, "size");
    const total = alignedTotal(alignment, size);
    const raw = this.#source.get(total);
    if (raw === 0) return 0;
    const words = this.#wordsAt(raw + total);
    const ptr = alignedHeaderSet(words, raw, alignment, size, this.#owner);
    this.#blocks?.add(words, ptr);
    this.#counter.got(size);
    return ptr;
  }

  /**
   * Resizes a block within its region; the contents stay up to the smaller size. The block moves
   * unless the new size fits and is at least half of the old one; a block that moves is aligned to
   * 16. A null pointer allocates. 0 = out of memory; the block at ptr is as it was then.
   *
   * @throws LayerError when ptr is not a block of a region that lives.
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
   * Frees a block, of this or another region; a null pointer is ignored.
   *
   * @throws LayerError when ptr is not a block of a region that lives.
   */
  free(ptr: number): void {
    checkPointer(ptr);
    if (ptr === 0) return;
    owners.of("free", this.#wordsAt(ptr), ptr).#release(ptr);
  }

  /**
   * Bytes that the block at ptr was allocated with; 0 for a null pointer.
   *
   * @throws LayerError when ptr is not a block of a region that lives.
   */
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
   * @throws LayerError when ptr is not a block of a region that lives.
   */
  ownerOf(ptr: number): Region {
    checkPointer(ptr);
    return owners.of("ownerOf", this.#wordsAt(ptr), ptr);
  }

  /**
   * Disposes of a Disposable, or else an AsyncDisposable, when the region ends; returns the value.
   *
   * @throws TypeError for another value but null and undefined; LayerError ERR_REGION_ENDED.
   */
  use<T extends Disposable | AsyncDisposable | null | undefined>(value: T): T {
    this.#requireOpen();
    this.#resources.use(value, false);
    return value;
  }

  /** As `use`, but prefers Symbol.asyncDispose: the end waits for it. */
  useAsync<T extends Disposable | AsyncDisposable | null | undefined>(value: T): T {
    this.#requireOpen();
    this.#resources.use(value, true);
    return value;
  }

  /**
   * Calls `end(value)` when the region ends: for files, sockets and handles without a dispose
   * method. Returns value.
   *
   * @example
   * const fd = region.adopt(openSync(path, "r"), closeSync);
   */
  adopt<T>(value: T, end: (value: T) => void): T {
    this.defer(() => end(value));
    return value;
  }

  /** As `adopt`, for an `end` that returns a promise: the end of the region waits for it. */
  adoptAsync<T>(value: T, end: (value: T) => PromiseLike<void> | void): T {
    this.deferAsync(() => end(value));
    return value;
  }

  /**
   * Calls `end` when the region ends.
   *
   * @throws TypeError unless end is a function; LayerError ERR_REGION_ENDED.
   */
  defer(end: () => void): void {
    this.#requireOpen();
    this.#resources.defer(end, false);
  }

  /** As `defer`, for an `end` that returns a promise: the end of the region waits for it. */
  deferAsync(end: () => PromiseLike<void> | void): void {
    this.#requireOpen();
    this.#resources.defer(end, true);
  }

  /**
   * The blocks in use, oldest first.
   *
   * @throws TypeError unless the region was entered with `check`, or its composition does not drop.
   */
  blocks(): Held[] {
    if (!this.#blocks) throw noBlockList(this.label);
    return this.#blocks.blocks(this.backingMemory.u32());
  }

  /** Statistics of this region; `held` is what its pool has beyond the bytes in use. */
  stats(): PoolStats {
    const stats = this.#counter.stats();
    const pool = this.#pool?.stats?.();
    return pool ? { ...stats, held: pool.held + pool.bytes - stats.bytes } : stats;
  }

  /** The sums over the regions of this label at this place, with the regions within as a tree. */
  profile(): ScopeProfile {
    return this.#scope.profile();
  }

  /**
   * Ends the region: first the open regions within, then its resources, the latest first, then all
   * of its memory. Everything is done before an error is thrown. A second call does nothing.
   *
   * @throws LayerError ERR_LEAK with `check`, ERR_REGION_OPEN, ERR_ASYNC_RESOURCE; what resources
   * throw; several errors as one SuppressedError; TypeError for the ground region.
   */
  destroy(): void {
    if (!this.#close()) return;
    const failures = new Failures();
    this.#end(failures, true);
    failures.throwIfAny();
  }

  /** As `destroy`, and waits for async resources, for each before the next one ends. */
  async destroyAsync(): Promise<void> {
    if (!this.#close()) return;
    const failures = new Failures();
    await this.#endAsync(failures, true);
    failures.throwIfAny();
  }

  /**
   * Ends the region after `error`, and throws that. Blocks that were not freed are not reported.
   *
   * @internal
   */
  destroyAfter(error: unknown): never {
    const failures = new Failures();
    failures.add(error);
    if (this.#close()) this.#end(failures, false);
    failures.throwIfAny();
    throw error;
  }

  /** @internal */
  async destroyAfterAsync(error: unknown): Promise<never> {
    const failures = new Failures();
    failures.add(error);
    if (this.#close()) await this.#endAsync(failures, false);
    failures.throwIfAny();
    throw error;
  }

  /** `destroy`, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /** `destroyAsync`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.destroyAsync();
  }

  /**
   * The words up to ptr. Getting them from the memory at each call took half of the time. Growth
   * empties views of a memory that moves, and leaves shorter views of a shared one valid.
   */
  #wordsAt(ptr: number): Uint32Array {
    if (ptr >>> 2 < this.#words.length) return this.#words;
    this.#words = (this.#memoryAfter ?? this.backingMemory).u32();
    return this.#words;
  }

  #release(ptr: number): void {
    const words = this.#wordsAt(ptr); // not the caller's: removing a block writes to others too
    const raw = rawAt(words, ptr);
    const total = totalAt(words, ptr);
    const size = sizeAt(words, ptr);
    freedSet(words, ptr);
    this.#blocks?.remove(words, ptr);
    this.#counter.put(size);
    this.#source.put(raw, total);
  }

  #move(ptr: number, usable: number, size: number): number {
    const to = this.malloc(size);
    if (to === 0) return 0;
    this.u8.copyWithin(to, ptr, ptr + Math.min(usable, size));
    this.#release(ptr);
    return to;
  }

  #bind(): Pool {
    const pool = (this.#make as () => Pool)();
    this.#pool = pool;
    this.#source = pool;
    this.#memory.bind(pool.memory);
    return pool;
  }

  #requireOpen(): void {
    if (this.#ended) throw regionEnded(this.label);
  }

  /** Marks the region as ended; false when it was already. */
  #close(): boolean {
    if (this.#ended) return false;
    if (!this.outer) throw groundCannotEnd();
    this.#ended = true;
    return true;
  }

  #end(failures: Failures, reportsLeaks: boolean): void {
    this.#endInner(failures);
    if (this.#resources.destroy(failures)) failures.add(resourceAsync(this.label));
    this.#endMemory(failures, reportsLeaks);
  }

  async #endAsync(failures: Failures, reportsLeaks: boolean): Promise<void> {
    this.#endInner(failures);
    await this.#resources.destroyAsync(failures);
    this.#endMemory(failures, reportsLeaks);
  }

  #endInner(failures: Failures): void {
    const inner = [...this.#inner].reverse();
    if (inner.length === 0) return;
    for (const region of inner) failures.attempt(() => region.destroy());
    failures.add(regionsOpen(this.label, inner));
  }

  #endMemory(failures: Failures, reportsLeaks: boolean): void {
    const leaks = this.#checks && reportsLeaks ? this.blocks() : [];
    if (!this.pool.traits.drops) this.#blocks?.putAll(this.pool, failures);
    failures.attempt(() => this.pool.destroy());
    if (leaks.length > 0) failures.add(regionLeak(this.label, leaks));
    this.#source = endedSource(this.label);
    this.#memoryAfter = this.#memory.base;
    this.#memory.end(this.label);
    owners.remove(this.#owner);
    this.#scope.end(this.#counter);
    this.#counter.drop();
    if (this.outer) this.outer.#inner.delete(this);
    this.#onEnd?.();
  }
}
