/** A heap whose every argument is checked, over any memory, in either back end. */

import { checkFunction } from "../common/checks.ts";
import { type HeapError, heapDestroyed } from "../common/errors.ts";
import { MemoryViews } from "../common/views.ts";
import type { CoreExports, HardCoreExports } from "../core/contract.ts";
import { S_HARDENING, S_TOP } from "../core/layout/layout.ts";
import type { MemorySource } from "../memory/index.ts";
import { bufferReaching } from "../memory/source.ts";
import { Arenas } from "./arenas.ts";
import type { CoreHooks, ErrorHandler } from "./backend.ts";
import type {
  ArenaArea,
  BackEnd,
  HugePageOptions,
  ManageOptions,
  ReserveOptions,
} from "./calls/contract.ts";
import { CoreAllocator } from "./calls/heap-calls.ts";
import { type DeferredFree, Host } from "./core-events.ts";
import { exitForget, exitWatch } from "./exit.ts";
import { featuresOf, type HardenedStart, type HardeningState } from "./hardening-features.ts";
import type { PurgeSettings } from "./purge-settings.ts";
import { Purging } from "./purging.ts";
import type { BlockNext, ObservedHeap, StatsLevel } from "./stats/contract.ts";
import { heapsCheck, runTold } from "./stats/damage.ts";
import type { HeapStats } from "./stats/numbers.ts";
import { type BlockVisitor, blocksVisit, guardsLift, readStats } from "./stats/walk.ts";
import type { SubHeap, VisitOptions } from "./sub-heap.ts";
import { type NewHeapOptions, SubHeaps } from "./sub-heaps.ts";

/** What a heap is made of. */
interface HeapParts {
  backend: BackEnd;
  source: MemorySource;
  onError: ErrorHandler | undefined;
  /** Of a memory that is new to heaps. */
  purge?: PurgeSettings;
  /** Other threads may grow the memory. */
  shared?: boolean;
  hardening: Pick<HardenedStart, "seed"> | undefined;
  start(hooks: CoreHooks): CoreExports;
}

/** A heap to the functions beside it. */
interface HeapInternals {
  readonly core: CoreExports;
  readonly events: Host;
  readonly arenas: Arenas;
  readonly observed: ObservedHeap;
  /** Ends the sub-heaps of this thread, whose blocks the backing heap takes over. */
  threadDone(): void;
}

/**
 * A heap over one memory, for one thread. Pointers are byte offsets into `buffer`; 0 is null and
 * never a block. Calls that allocate return 0 when memory is out; mistakes throw and change
 * nothing.
 *
 * Algorithm: mimalloc (Leijen, Zorn, de Moura, APLAS 2019) over slices of 64 KiB.
 *
 * @example
 * using heap = createHeap();
 * const ptr = heap.malloc(100);
 * heap.u8[ptr] = 1;
 * heap.free(ptr);
 */
export class Heap extends CoreAllocator {
  /** Where the bytes come from. */
  readonly source: MemorySource;
  /** Which build of the core serves the heap. */
  readonly backend: BackEnd;
  protected declare readonly host: Host;
  protected declare readonly views: MemoryViews;
  readonly #arenas: Arenas;
  readonly #purging: Purging;
  readonly #subHeaps: SubHeaps;
  readonly #hardened: boolean;

  /** Use createHeap. */
  constructor({ source, onError, backend, purge, shared, hardening, start }: HeapParts) {
    const host = new Host(onError);
    const views: MemoryViews = new MemoryViews({
      get buffer() {
        return bufferReaching(source, views.least);
      },
    });
    host.views = views;
    host.source = source;
    const core = start({
      onError: (code, size) => host.coreError(code, size),
      onGrow: () => views.reset(),
      onReport: (report) => host.coreReport(report),
    });
    super(core, host, views);
    this.source = source;
    this.backend = backend;
    this.#hardened = hardening !== undefined;
    if (shared) views.share(source.start + S_TOP);
    const memory = { core: () => this.core, words: () => this.u32 };
    this.#arenas = new Arenas({ ...memory, source: () => source });
    this.#purging = new Purging({ ...memory, source }, purge);
    this.#subHeaps = new SubHeaps({
      ...memory,
      state: source.start,
      root: this,
      host,
      views,
      arenaArea: (id) => this.#arenas.area(id),
    });
    if (source.numa) core.numaBind(source.numa.node);
    exitWatch(this);
  }

  /** This thread's id in a memory that threads share; 0 in any other. */
  protected get thread(): number {
    return 0;
  }

  /**
   * @internal What functions beside a heap work on: see hooks.ts and create-abi.ts.
   *
   * @throws HeapError once the heap has ended.
   */
  get internals(): HeapInternals {
    this.checkLive();
    const heap = this;
    const observed = {
      get core() {
        return heap.core;
      },
      state: this.source.start,
      thread: () => this.thread,
      words: () => this.u32,
      next: () => this.blockNext,
    };
    const threadDone = () => this.walk(() => this.#subHeaps.settle(this.thread));
    return { core: this.core, events: this.host, arenas: this.#arenas, observed, threadDone };
  }

  /** The memory for the imports of a wasm module; undefined over an ArrayBuffer. */
  get memory(): WebAssembly.Memory | undefined {
    return this.source.memory;
  }

  /**
   * A heap beside this one: with pages of its own, in the same memory, for the same thread. All its
   * blocks can be freed at once, and any heap of any thread can free each of them.
   *
   * With `maximum`, a budget in bytes, calls return 0 once the heap's pages have all slices of
   * 64 KiB that fit into it, and allocate again after frees. With `arena` the heap allocates from
   * this arena only.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY, also when 124 heaps share a memory.
   * @throws RangeError for an arena that is not there, or a budget below 64 KiB.
   * @example
   * const scratch = heap.newHeap({ maximum: 2 ** 20 });
   * scratch.malloc(100);
   * scratch.destroy();
   */
  newHeap(options: NewHeapOptions = {}): SubHeap {
    return this.#subHeaps.create(options);
  }

  /** The heap that takes over blocks which destroyed heaps keep. It ends with this object. */
  get backingHeap(): SubHeap {
    return this.#subHeaps.backing;
  }

  /** The heap from which this object's own calls and C's allocate: at first the backing heap. */
  get defaultHeap(): SubHeap {
    return this.#subHeaps.default;
  }

  /**
   * Makes a heap of this one's the default heap; returns the one before.
   *
   * @throws TypeError for a heap of another Heap, or one that has ended.
   */
  setDefaultHeap(heap: SubHeap): SubHeap {
    return this.#subHeaps.setDefault(heap);
  }

  /** Whether a heap is one that this heap made, and has not ended. */
  knows(heap: SubHeap): boolean {
    return this.#subHeaps.has(heap);
  }

  /**
   * Sets the function that is called when a request fails, in the place of `onError`: with an
   * errno (12 = out of memory, 75 = request too large, 14 = a damaged free list), the size in bytes
   * and a sentence. Undefined: none.
   *
   * For a heap with hardening it is also called for mistakes, with the pointer in the place of the
   * size: 11 = double free, 14 = overflow or a damaged list, 22 = not a block. Then the heap goes
   * on; without a function a mistake throws a HeapError.
   */
  registerError(onError: ErrorHandler | undefined): void {
    checkFunction("onError", onError);
    this.host.handler = onError;
  }

  /**
   * Has a function called at regular intervals, from inside allocations of this thread, so that it
   * can free, a little at a time, what a reference count or a closed file has left. It may call any
   * function of the heap. Undefined: no more.
   */
  registerDeferredFree(free: DeferredFree | undefined): void {
    checkFunction("free", free);
    this.host.deferred = free;
    this.core.deferredFree(free !== undefined);
  }

  /**
   * Gives every page without live blocks back to the heap's free slices; with `force` also all
   * free slices back to the memory, as `purge(true)` does.
   *
   * A shared heap first takes what other threads have freed; with `force` it adopts all pages of
   * threads that have ended, and finds the slices that terminated ones have lost if no other thread
   * is attached.
   */
  collect(force = false): void {
    this.walk(() => {
      this.core.heapCollect(force);
      if (force) this.core.purge(true);
    });
  }

  /**
   * Sets memory apart, rounded up to 64 KiB, as an arena: for heaps that are made for it or, unless
   * it is exclusive, for all heaps before the memory grows. Returns its id. It stays set apart.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY, or ERR_NO_ARENA when there are 112 arenas.
   * @example
   * const arena = heap.reserveMemory(2 ** 20, { exclusive: true });
   * const heapInIt = heap.newHeap({ arena });
   */
  reserveMemory(bytes: number, options?: ReserveOptions): number {
    return this.#arenas.reserve(bytes, options);
  }

  /**
   * Gives the heap a range of the memory that nothing else uses as an arena: its whole slices of
   * 64 KiB. Returns the arena's id.
   *
   * @throws RangeError when it holds no whole slice, ends behind the memory, or belongs to the heap
   * in part.
   * @throws HeapError ERR_OUT_OF_MEMORY, or ERR_NO_ARENA when there are 112 arenas.
   */
  manageMemory(address: number, bytes: number, options?: ManageOptions): number {
    return this.#arenas.manage(address, bytes, options);
  }

  /**
   * Reserves up to `pages` huge pages, which follow each other, as an arena that is never purged.
   * Returns its id and how many pages there were. Only simulated memories have huge pages.
   *
   * @throws RangeError where there are none.
   * @throws HeapError ERR_OUT_OF_MEMORY when not one could be had.
   */
  reserveHugePages(pages: number, options?: HugePageOptions): { arena: number; pages: number } {
    return this.#arenas.hugePages(pages, options);
  }

  /** Where an arena lies; undefined for an id that no arena has. */
  arenaArea(id: number): ArenaArea | undefined {
    return this.#arenas.area(id);
  }

  /** Which slices of the arenas are in use (x) and free (.), 32 a line, for people. */
  arenasPicture(): string {
    return this.#arenas.picture();
  }

  /**
   * Counts one tick of the purge clock and gives back the free memory whose delay is over; with
   * `force` all of it. For a timer: allocation counts ticks too, but an idle program does not
   * allocate. Does nothing over a memory that can give nothing back: see docs/guide/heaps.md.
   *
   * @example
   * const heap = createHeap();
   * const timer = setInterval(() => heap.purge(), 100);
   * clearInterval(timer);
   */
  purge(force = false): void {
    this.walk(() => this.core.purge(force));
  }

  /**
   * Collects and purges at an interval, as long as this heap lives: memory that is free is given
   * back `purgeDelay` intervals after it was freed, also while the program is idle. The timer does
   * not keep the process running. 0 ends it. In a program whose threads share the heap, each calls
   * it for its own.
   *
   * @throws TypeError or RangeError for what is not a number of milliseconds from 0 to 2^31 - 1.
   */
  purgeEvery(milliseconds: number): void {
    this.checkLive();
    this.#purging.every(this, milliseconds);
  }

  /** Changes settings of purges, for all threads of the memory; returns those that hold now. */
  purgeSettings(settings: Partial<PurgeSettings> = {}): PurgeSettings {
    return this.#purging.settings(settings);
  }

  /**
   * Statistics as they are now; costs a walk over the pages.
   *
   * @example
   * heap.stats().blockBytes;
   * console.log(formatStats(heap.stats())); // as a table
   */
  stats(): HeapStats {
    this.checkLive();
    return readStats(this.u32, this.source.start, { level: this.statsLevel, shared: false });
  }

  /** How much is counted: see setStatsLevel. */
  get statsLevel(): StatsLevel {
    return this.host.observers?.level ?? 0;
  }

  /**
   * Calls `areas` for each run of memory that holds blocks, then `visit` with address and usable
   * size of its live blocks, all in address order; false from either stops. `visit` may free the
   * block it was given. Returns whether none stopped it.
   */
  visitBlocks(visit: BlockVisitor | undefined, { areas }: VisitOptions = {}): boolean {
    this.checkLive();
    return blocksVisit(this.u32, this.source.start, visit, { areas, next: this.blockNext });
  }

  /** Which hardening this heap has; undefined without it. */
  get hardening(): HardeningState | undefined {
    if (!this.#hardened) return undefined;
    const bits = this.u32[(this.source.start + S_HARDENING) >>> 2] as number;
    return { features: featuresOf(bits), weak: !!(this.core as HardCoreExports).randomIsWeak() };
  }

  /** @internal Follows the links of a hardened heap's free lists, which a walk cannot read. */
  get blockNext(): BlockNext | undefined {
    if (!this.#hardened) return undefined;
    const core = this.core as HardCoreExports;
    return (page, block) => core.linkLoad(page, block) >>> 0;
  }

  /**
   * @internal Runs a function of the core that walks over what this thread's heaps have.
   *
   * @throws HeapError ERR_HEAP_DAMAGED before, if that walk could be one without an end.
   */
  walk<T>(run: () => T): T {
    this.checkLive();
    heapsCheck(this.u32, this.source.start, this.thread);
    return runTold(run);
  }

  /**
   * Ends the heap and the heaps beside it: every later call throws ERR_HEAP_DESTROYED. A memory
   * that was made for the heap can be collected as garbage then; one of yours stays as it is.
   */
  destroy(): void {
    if (this.#hardened) guardsLift(this.u32, this.source);
    this.end(heapDestroyed);
  }

  /** `destroy`, at the end of a scope that declares the heap with `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  protected override end(error: () => HeapError): void {
    this.#purging.stop();
    super.end(error);
    exitForget(this);
    this.#subHeaps.end(error);
    this.views.reset();
  }
}
