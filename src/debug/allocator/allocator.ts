/** The debug allocator as programs see it. */

import { checkFunction, checkPointer, checkSize } from "../../common/checks.ts";
import { heapDestroyed, outOfMemory } from "../../common/errors.ts";
import type { ErrorHandler } from "../../heap/backend.ts";
import type { AttachOptions } from "../../heap/options.ts";
import { attachHeap } from "../../heap/shared.ts";
import type { BlockVisitor } from "../../heap/stats/walk.ts";
import { type MemorySource, wasmMemory } from "../../memory/index.ts";
import type { Entry } from "../report/stack-table.ts";
import type { AllocatorLike, BackingAllocator } from "../store/allocator-like.ts";
import { backingOf } from "../store/backing.ts";
import type { WatchedBacking } from "../store/backing-damage.ts";
import { MAIN_HEAP } from "../store/block.ts";
import { type DebugOptions, type Settings, settingsOf } from "../store/options.ts";
import { SharedState } from "../store/shared-state.ts";
import { abiOf, type DebugAbi } from "./abi.ts";
import { DebugAllocatorBase } from "./allocator-base.ts";
import { type DebugHandle, handleCheck, handleMake, requireShared } from "./attach.ts";
import type { CallSite } from "./call-site.ts";
import { DebugCore } from "./debug-core.ts";
import { DebugHeap } from "./debug-heap.ts";
import type { DeferredFree } from "./deferred.ts";
import { type DebugVisitOptions, itemsVisit } from "./visit.ts";

/** Statistics of a debug allocator, as they are now. */
export interface DebugStats {
  /** Live blocks. */
  blocks: number;
  /** Bytes that live blocks were allocated with. */
  requestedBytes: number;
  /** Bytes taken from the backing allocator: for blocks, zones, free slots and quarantine. */
  residentBytes: number;
  /** Bytes of JavaScript that know about blocks and stacks; objects by estimate. */
  overheadBytes: number;
}

/** Options of `DebugAllocator.destroy`. */
export interface DebugDestroyOptions {
  /**
   * Destroys the backing allocator too, if it can be destroyed. Default: false; but the heap that
   * attachDebug has attached is detached.
   */
  backing?: boolean | undefined;
}

/** Of an allocator that threads share. */
interface SharedParts {
  readonly state: SharedState;
  /** The heap below was attached for this allocator, and ends with it. */
  readonly attached: boolean;
}

/**
 * An allocator that checks every block: who allocated it, who freed it, what was written around it
 * and after it. For one thread. Pointers are those of the backing allocator's memory, aligned to
 * 16; `usableSize` is the size that was asked for, so slack cannot be used by mistake.
 *
 * Algorithm: Zig's debug allocator (Andrew Kelley), with red zones and quarantine as in
 * AddressSanitizer (Serebryany et al., USENIX ATC 2012) and sampling as in GWP-ASan.
 *
 * @example
 * const heap = debug(createHeap());
 * heap.malloc(100);
 * heap.destroy(); // "leak", and on stderr where the 100 bytes were allocated
 */
export class DebugAllocator extends DebugAllocatorBase implements AllocatorLike, Disposable {
  /**
   * C's allocation functions for the import object of a wasm module: all names of `Heap.abi`.
   * Mistakes of C programs are reported as those of JavaScript are.
   */
  readonly abi: DebugAbi;
  /** Also when it has ended. */
  readonly #core: DebugCore;
  /** Serves blocks that are not guarded. */
  readonly #below: AllocatorLike;
  readonly #settings: Settings;
  readonly #shared: SharedParts | undefined;
  /** The heaps beside this one, by their ids. */
  readonly #heaps = new Map<number, DebugHeap>();

  /** Use debug or attachDebug. */
  constructor(backing: WatchedBacking, settings: Settings, entry: Entry, shared?: SharedParts) {
    const core = new DebugCore(backing, settings, entry, shared?.state);
    super(core, undefined);
    this.#core = core;
    this.#settings = settings;
    this.#shared = shared;
    this.#below = backing.allocator;
    this.abi = abiOf(core);
    const { filter } = core.blocks.table;
    this.#openHot(settings.sampleEvery > 1 ? filter : undefined);
  }

  /**
   * malloc and free; when sampling they let most blocks pass. Closures, because they reach what
   * they need by fewer loads than methods do: 1.05 times the bare heap instead of 1.11 when nothing
   * is guarded. They take the stack themselves: the engine walks over every frame between.
   */
  #openHot(filter: { isUnsampled(address: number): boolean } | undefined): void {
    const core = this.#core;
    const below = this.#below;
    const malloc = (size: number): number => {
      if (core.skip > 0) {
        core.skip--;
        try {
          return below.malloc(size);
        } catch (error) {
          core.refuseDamaged(error, mallocSite);
        }
      }
      checkSize(size, "size");
      return core.allocate(mallocSite, { size }, core.stacks.capture(malloc));
    };
    const free = (ptr: number): void => {
      if (filter?.isUnsampled(ptr)) {
        try {
          below.free(ptr);
        } catch (error) {
          core.refuseDamaged(error, freeSite);
        }
        return;
      }
      checkPointer(ptr);
      if (ptr === 0 || core.isUnguarded(ptr)) core.free(freeSite, ptr);
      else core.freeGuarded(freeSite, ptr, undefined, core.stacks.capture(free));
    };
    const mallocSite: CallSite = { call: "malloc", entry: malloc };
    const freeSite: CallSite = { call: "free", entry: free };
    this.malloc = malloc;
    this.free = free;
  }

  /** Checks all zones and all poison, and reports writes outside of live blocks. */
  check(): void {
    this.core.inspect(this.sites.check, false);
  }

  /** `check`, and a report of all live blocks as leaks. Returns how many there are. */
  detectLeaks(): number {
    return this.core.inspect(this.sites.detectLeaks, true);
  }

  /**
   * Gives back what quarantine holds, and pages without live blocks; then collects the backing
   * allocator, if any block lay in it.
   */
  collect(): void {
    this.core.collect(this.sites.collect);
  }

  /**
   * Reports damage and leaks; then gives everything back to the backing allocator, leaked blocks
   * too, and ends, with the heaps beside it: every later call throws. Returns whether a block has
   * leaked. The backing allocator goes on unless `backing` says otherwise.
   *
   * @throws HeapError ERR_HEAP_DESTROYED when it has ended already.
   * @example
   * const heap = debug(createHeap());
   * heap.free(heap.malloc(100));
   * heap.destroy(); // "ok"
   */
  destroy({ backing = false }: DebugDestroyOptions = {}): "ok" | "leak" {
    return this.#destroy(this.sites.destroy, backing);
  }

  /** `destroy`, at the end of a scope; nothing if it has ended already. */
  [Symbol.dispose](): void {
    const site = { call: "destroy", entry: this[Symbol.dispose] };
    if (!this.#core.hasEnded) this.#destroy(site, false);
  }

  #destroy(site: CallSite, backing: boolean): "ok" | "leak" {
    this.core.checkLive();
    try {
      return this.core.end(site) ? "leak" : "ok";
    } finally {
      if (this.#core.hasEnded) this.#close(site, backing);
    }
  }

  #close(site: CallSite, backing: boolean): void {
    for (const heap of this.#heaps.values()) heap.end(heapDestroyed);
    this.#heaps.clear();
    this.end(heapDestroyed);
    // The methods of the class are left, which throw.
    Reflect.deleteProperty(this, "malloc");
    Reflect.deleteProperty(this, "free");
    if (backing || this.#shared?.attached) this.#core.endBacking(site);
  }

  /**
   * A heap beside this one: its blocks can be freed at once, and any heap can free each of them.
   * All its blocks are guarded, also when sampling.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY after 2^23 heaps.
   */
  newHeap(): DebugHeap {
    const id = this.core.heaps.draw();
    if (id === 0) throw outOfMemory("newHeap", 0);
    return this.#heapOf(id);
  }

  /** The heap that takes over blocks which destroyed heaps keep. */
  get backingHeap(): DebugHeap {
    return this.#heapOf(MAIN_HEAP);
  }

  /** The heap from which this object's own calls and `abi` allocate: at first the backing heap. */
  get defaultHeap(): DebugHeap {
    return this.#heapOf(this.core.heaps.default);
  }

  /**
   * Makes a heap of this one's the default heap; returns the one before.
   *
   * @throws TypeError for a heap of another allocator, or one that has ended.
   */
  setDefaultHeap(heap: DebugHeap): DebugHeap {
    const before = this.defaultHeap;
    if (!this.knows(heap)) {
      throw new TypeError("setDefaultHeap needs a heap that newHeap of this allocator made");
    }
    this.core.heapDefault(heap.id);
    return before;
  }

  /** Whether a heap is one that this allocator made, and has not ended. */
  knows(heap: DebugHeap): boolean {
    if (!(heap instanceof DebugHeap)) return false;
    return this.#heaps.get(heap.id) === heap && this.#core.heaps.has(heap.id);
  }

  #heapOf(id: number): DebugHeap {
    const heap = this.#heaps.get(id) ?? new DebugHeap(this.core, id);
    this.#heaps.set(id, heap);
    return heap;
  }

  /**
   * Sets the function that is called when a request fails, with an errno (12 = out of memory), the
   * size in bytes and a sentence. Undefined: none.
   */
  registerError(onError: ErrorHandler | undefined): void {
    checkFunction("onError", onError);
    this.core.onError = onError;
  }

  /**
   * Has a function called at regular intervals, from inside guarded allocations, and when memory is
   * out: see Heap.registerDeferredFree. Undefined: no more.
   */
  registerDeferredFree(free: DeferredFree | undefined): void {
    checkFunction("free", free);
    this.core.deferred.free = free;
  }

  /**
   * What another thread needs for attachDebug; any number of threads may use it.
   *
   * @throws TypeError unless the allocator was made with `threadSafe`.
   */
  handle(): DebugHandle {
    return handleMake(requireShared(this.#below).handle(), this.#requireState(), this.#settings);
  }

  /**
   * Starts a Worker whose end the heap below watches: see SharedHeap.startWorker. `make` gets the
   * handle for attachDebug and returns the Worker that it sends it to.
   *
   * @throws TypeError unless the allocator was made with `threadSafe`.
   */
  startWorker<W extends { terminate(): unknown }>(make: (handle: DebugHandle) => W): W {
    const state = this.#requireState();
    const below = requireShared(this.#below);
    return below.startWorker((heap) => make(handleMake(heap, state, this.#settings)));
  }

  #requireState(): SharedState {
    if (this.#shared) return this.#shared.state;
    throw new TypeError("handle needs a debug allocator with threadSafe");
  }

  /** Forgets what `retainMetadata` has kept of memory that was given back. */
  flushRetainedMetadata(): void {
    this.core.blocks.history.forget();
  }

  /**
   * Changes the option requestedMemoryLimit, in bytes. What is live stays, also if it is more.
   *
   * @throws TypeError or RangeError as for the option.
   */
  setRequestedMemoryLimit(bytes: number): void {
    settingsOf({ requestedMemoryLimit: bytes }, 4096);
    this.core.blocks.limit = bytes;
  }

  /**
   * Statistics as they are now, also once it has ended; costs a walk over the pages. When sampling,
   * of guarded blocks.
   */
  stats(): DebugStats {
    const { blocks, stacks } = this.#core;
    return {
      blocks: blocks.live,
      requestedBytes: blocks.requested,
      residentBytes: blocks.resident,
      overheadBytes: blocks.overhead + stacks.bytes,
    };
  }

  /**
   * Calls `areas` for each run of memory that holds blocks, then `visit` with address and size of
   * its live blocks, all in address order; false from either stops. Returns whether none stopped
   * it. When sampling, of guarded blocks.
   */
  visitBlocks(visit: BlockVisitor | undefined, options: DebugVisitOptions = {}): boolean {
    return itemsVisit(this.core.blocks.table.items(), () => true, visit, options);
  }

  /** Where the bytes come from; undefined where the backing allocator does not say. */
  get source(): MemorySource | undefined {
    return this.#below.source;
  }

  /** The memory for a wasm module's imports; undefined where there is none below. */
  get memory(): WebAssembly.Memory | undefined {
    return this.#below.memory;
  }
}

/** Memory serves in slices of 64 KiB; smaller pages would waste the rest of one. */
const PAGE = 16384;
const MEMORY_PAGE = 65536;

/**
 * A debug allocator over an allocator, a pool of layers, or a memory source; over a new memory if
 * nothing is given.
 *
 * @throws TypeError or RangeError for unknown options and values out of range.
 * @example
 * const heap = debug(createHeap(), { onReport: "throw" });
 */
export function debug(allocator?: BackingAllocator, options: DebugOptions = {}): DebugAllocator {
  if (allocator !== undefined && options?.backingAllocator !== undefined) {
    throw new TypeError("backingAllocator is given twice: as an argument and as an option");
  }
  const backing = backingOf(allocator ?? options?.backingAllocator ?? wasmMemory());
  const settings = settingsOf(options, backing.kind === "memory" ? MEMORY_PAGE : PAGE);
  // Memory is given back in whole pages of the memory below.
  const least = settings.threadSafe ? MEMORY_PAGE : (backing.pages?.operations.pageBytes ?? 0);
  const whole = { ...settings, pageSize: Math.max(settings.pageSize, least) };
  if (!settings.threadSafe) return new DebugAllocator(backing, whole, debug);
  requireShared(backing.allocator);
  return new DebugAllocator(backing, whole, debug, { state: new SharedState(), attached: false });
}

/** Options that each thread has for itself. */
export type AttachDebugOptions = Pick<
  DebugOptions,
  "onReport" | "verboseLog" | "reportAtExit" | "seed" | "threadId"
> &
  Pick<AttachOptions, "backend">;

/**
 * This thread's part of a debug allocator with `threadSafe`, over the same heap: `handle` is what
 * its `handle()` returned, as it arrived in a Worker. Its destroy leaves the blocks to the others
 * and detaches from the heap; leaks are reported by the thread that made the allocator.
 *
 * @throws TypeError or RangeError for what is not such a handle, HeapError as attachHeap does.
 * @example
 * const heap = debug(createSharedHeap(), { threadSafe: true });
 * const mine = attachDebug(heap.handle()); // mostly in a Worker, with the handle that it was sent
 * heap.free(mine.malloc(100));
 * mine.destroy();
 */
export function attachDebug(handle: DebugHandle, options: AttachDebugOptions = {}): DebugAllocator {
  handleCheck(handle);
  const { backend, ...own } = options;
  const together = { ...own, ...handle.options, threadSafe: true };
  const settings = settingsOf(together, MEMORY_PAGE);
  const backing = backingOf(attachHeap(handle.heap, { backend }));
  const shared = { state: new SharedState(handle.state), attached: true };
  return new DebugAllocator(backing, settings, attachDebug, shared);
}
