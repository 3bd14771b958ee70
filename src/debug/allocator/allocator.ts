/** The debug allocator as its users see it. */

import { checkFunction, checkPointer, checkSize } from "../../common/checks.ts";
import { heapDestroyed, outOfMemory } from "../../common/errors.ts";
import type { ErrorHandler } from "../../heap/backend.ts";
import type { AttachOptions } from "../../heap/options.ts";
import { attachHeap } from "../../heap/shared.ts";
import type { SharedHeap } from "../../heap/shared-heap.ts";
import type { BlockVisitor } from "../../heap/stats/walk.ts";
import { type MemorySource, wasmMemory } from "../../memory/index.ts";
import type { Entry } from "../report/stack-table.ts";
import {
  type AllocatorLike,
  type Backing,
  type BackingAllocator,
  backingOf,
} from "../store/backing.ts";
import { MAIN_HEAP } from "../store/block.ts";
import { type DebugOptions, type Settings, settingsOf } from "../store/options.ts";
import { SharedState } from "../store/shared-state.ts";
import { abiOf, type DebugAbi } from "./abi.ts";
import { type DebugHandle, handleCheck, handleMake, sharedNeed } from "./attach.ts";
import { Calls, type Site } from "./calls.ts";
import type { DeferredFree } from "./deferred.ts";
import { DebugFamily } from "./family.ts";
import { DebugHeap } from "./heaps.ts";
import { type DebugVisitOptions, itemsVisit } from "./visit.ts";

/** Figures of a debug allocator, as they are now. */
export interface DebugStats {
  /** Live blocks. */
  blocks: number;
  /** Bytes that live blocks were asked for with. */
  requestedBytes: number;
  /** Bytes taken from the backing allocator: for blocks, zones, free slots and quarantine. */
  residentBytes: number;
  /** Bytes of JavaScript that know about blocks and stacks; objects by estimate. */
  overheadBytes: number;
}

/**
 * An allocator that watches every block: who allocated it, who freed it, what was written around it
 * and after it. For one thread. Pointers are those of the backing allocator's memory, aligned to
 * 16; `usableSize` is what was asked for, so slack cannot be used by mistake.
 *
 * Algorithm: Zig's debug allocator (Andrew Kelley), with red zones and quarantine as in
 * AddressSanitizer (Serebryany et al., USENIX ATC 2012) and sampling as in GWP-ASan.
 *
 * @example
 * const heap = debug(createHeap());
 * heap.malloc(100);
 * heap.deinit(); // "leak", and on stderr where the 100 bytes were allocated
 */
export class DebugAllocator extends DebugFamily implements AllocatorLike, Disposable {
  /** C's allocation functions for the import object of a wasm module. */
  readonly abi: DebugAbi;
  readonly #calls: Calls;
  /** For blocks that are not guarded: who serves them, and how to tell them. */
  readonly #plain: AllocatorLike;
  readonly #settings: Settings;
  readonly #state: SharedState | undefined;
  /** The heaps beside this one, by their ids. */
  readonly #heaps = new Map<number, DebugHeap>();

  /** Use debug or attachDebug. */
  constructor(backing: Backing, settings: Settings, entry: Entry, state?: SharedState) {
    const calls = new Calls(backing, settings, entry, state);
    super(calls, undefined);
    this.#calls = calls;
    this.#settings = settings;
    this.#state = state;
    this.#plain = backing.allocator;
    this.abi = abiOf(this.verbs);
    const { filter } = calls.blocks.table;
    this.#hotOpen(settings.sampleEvery > 1 ? filter : undefined);
  }

  /**
   * malloc and free; when sampling they let most blocks pass. Closures, because they reach what
   * they need by fewer loads than methods do: 1.05 times the bare heap instead of 1.11 when nothing
   * is guarded. They take the stack themselves: the engine walks over every frame between.
   */
  #hotOpen(filter: { isUnsampled(address: number): boolean } | undefined): void {
    const calls = this.#calls;
    const plain = this.#plain;
    const malloc = (size: number): number => {
      if (calls.skip > 0) {
        calls.skip--;
        return plain.malloc(size);
      }
      checkSize(size, "size");
      return calls.allocate(mallocSite, { size }, calls.stacks.capture(malloc));
    };
    const free = (ptr: number): void => {
      if (filter?.isUnsampled(ptr)) {
        plain.free(ptr);
        return;
      }
      checkPointer(ptr);
      if (ptr === 0 || calls.isUnguarded(ptr)) calls.free(freeSite, ptr);
      else calls.freeGuarded(freeSite, ptr, undefined, calls.stacks.capture(free));
    };
    const mallocSite: Site = { call: "malloc", entry: malloc };
    const freeSite: Site = { call: "free", entry: free };
    this.malloc = malloc;
    this.free = free;
  }

  /** Whether an address lies in a block, live or free, of this allocator. */
  contains(ptr: number): boolean {
    checkPointer(ptr);
    return this.#calls.contains(ptr);
  }

  /** Looks at all zones and all poison, and reports what was written where nobody may write. */
  check(): void {
    this.#calls.inspect(this.at.check, false);
  }

  /** check, and a report of all live blocks as leaks. Answers how many there are. */
  detectLeaks(): number {
    return this.#calls.inspect(this.at.detectLeaks, true);
  }

  /** Gives back what quarantine holds, and pages without live blocks; then collects below. */
  collect(): void {
    this.#calls.collect(this.at.collect);
  }

  /**
   * detectLeaks; then everything goes back to the backing allocator, leaked blocks too, and heaps
   * beside this one end. The allocator is as new.
   */
  deinit(): "ok" | "leak" {
    return this.#deinit(this.at.deinit) === 0 ? "ok" : "leak";
  }

  /** deinit; then every later call throws, and what is below is destroyed too, if it can be. */
  destroy(): void {
    try {
      this.#deinit(this.at.destroy);
    } finally {
      this.end(heapDestroyed);
      this.malloc = super.malloc;
      this.free = super.free;
      this.#plain.destroy?.();
    }
  }

  [Symbol.dispose](): void {
    this.#deinit({ call: "deinit", entry: this[Symbol.dispose] });
  }

  #deinit(site: Site): number {
    this.verbs.goodSize(site, 0); // throws if the allocator is destroyed
    for (const heap of this.#heaps.values()) heap.endWith(heapDestroyed);
    this.#heaps.clear();
    return this.#calls.deinit(site);
  }

  /**
   * A heap beside this one: its blocks can go at once, and any heap can free each of them. All its
   * blocks are guarded, also when sampling.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY after 2^23 heaps.
   */
  newHeap(): DebugHeap {
    const id = this.#calls.heaps.draw();
    if (id === 0) throw outOfMemory("newHeap", 0);
    return this.#heapOf(id);
  }

  /** The heap that takes over the blocks of heaps that are deleted. */
  get backingHeap(): DebugHeap {
    return this.#heapOf(MAIN_HEAP);
  }

  /** The heap from which this object's own calls and `abi` allocate: at first the backing heap. */
  get defaultHeap(): DebugHeap {
    return this.#heapOf(this.#calls.heaps.default);
  }

  /** Makes a heap of this one's the default heap; answers the one before. */
  setDefaultHeap(heap: DebugHeap): DebugHeap {
    const before = this.defaultHeap;
    if (!this.knows(heap)) {
      throw new TypeError("setDefaultHeap needs a heap that newHeap of this allocator made");
    }
    this.#calls.heapDefault(heap.id);
    return before;
  }

  /** Whether a heap is one of this allocator's, and has not ended. */
  knows(heap: DebugHeap): boolean {
    return heap instanceof DebugHeap && heap.root === this && this.#calls.heaps.has(heap.id);
  }

  #heapOf(id: number): DebugHeap {
    const heap = this.#heaps.get(id) ?? new DebugHeap(this, this.#calls, id);
    this.#heaps.set(id, heap);
    return heap;
  }

  /** Whom to tell of requests that fail, with an errno (12 = out of memory) and a size. */
  registerError(onError: ErrorHandler | undefined): void {
    checkFunction("onError", onError);
    this.#calls.onError = onError;
  }

  /**
   * Has a function called at regular intervals, from inside guarded allocations, and when memory is
   * out: see Heap.registerDeferredFree. Undefined: no more.
   */
  registerDeferredFree(free: DeferredFree | undefined): void {
    checkFunction("free", free);
    this.#calls.deferred.free = free;
  }

  /**
   * What another thread needs for attachDebug; any number of threads may use it.
   *
   * @throws TypeError unless the allocator was made with `threadSafe`.
   */
  handle(): DebugHandle {
    return handleMake(this.#shared().handle(), this.#stateNeed(), this.#settings);
  }

  /**
   * Starts a Worker whose end the heap below watches: see SharedHeap.startWorker. `make` gets the
   * handle for attachDebug.
   */
  startWorker<W extends { terminate(): unknown }>(make: (handle: DebugHandle) => W): W {
    const state = this.#stateNeed();
    return this.#shared().startWorker((heap) => make(handleMake(heap, state, this.#settings)));
  }

  #shared(): SharedHeap {
    return sharedNeed(this.#plain);
  }

  #stateNeed(): SharedState {
    if (!this.#state) throw new TypeError("handle needs a debug allocator with threadSafe");
    return this.#state;
  }

  /** Forgets what retainMetadata has kept of memory that was given back. */
  flushRetainedMetadata(): void {
    this.#calls.blocks.history.forget();
  }

  /** Changes requestedMemoryLimit. What is live stays, also if it is more. */
  setRequestedMemoryLimit(bytes: number): void {
    settingsOf({ requestedMemoryLimit: bytes }, 4096);
    this.#calls.blocks.limit = bytes;
  }

  /** Figures as they are now; costs a walk over the pages. When sampling, of guarded blocks. */
  stats(): DebugStats {
    const { blocks, stacks } = this.#calls;
    return {
      blocks: blocks.live,
      requestedBytes: blocks.requested,
      residentBytes: blocks.resident,
      overheadBytes: blocks.overhead + stacks.bytes,
    };
  }

  /** Calls `visit` with address and size of every live block, in address order; false stops. */
  visitBlocks(visit: BlockVisitor | undefined, options: DebugVisitOptions = {}): boolean {
    return itemsVisit(this.#calls.blocks.table.items(), () => true, visit, options);
  }

  /** Where the bytes come from, if what is below tells. */
  get source(): MemorySource | undefined {
    return this.#plain.source;
  }

  /** The memory for a wasm module's imports; undefined where there is none below. */
  get memory(): WebAssembly.Memory | undefined {
    return this.#plain.memory;
  }
}

/** Memory serves in slices of 64 KiB; smaller pages would waste the rest of one. */
const PAGE = 16384;
const MEMORY_PAGE = 65536;

/**
 * A debug allocator over an allocator, a pool of layers, or memory; over a new memory if nothing
 * is given.
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
  sharedNeed(backing.allocator);
  return new DebugAllocator(backing, whole, debug, new SharedState());
}

/** Options that each thread has for itself. */
export type AttachDebugOptions = Pick<
  DebugOptions,
  "onReport" | "verboseLog" | "reportAtExit" | "seed" | "threadId"
> &
  Pick<AttachOptions, "backend">;

/**
 * This thread's part of a debug allocator with `threadSafe`, over the same heap: `handle` is what
 * its `handle()` answered, as it arrived in a Worker. Its deinit leaves the blocks to the others;
 * leaks are told by the thread that made the allocator.
 *
 * @throws TypeError or RangeError for what is no such handle, HeapError as attachHeap does.
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
  return new DebugAllocator(backing, settings, attachDebug, new SharedState(handle.state));
}
