/**
 * The typed door: a heap whose every argument is checked, over any memory, in either back end.
 */

import { checkFunction, checkSize } from "../common/checks.ts";
import { type HeapError, heapDestroyed, outOfMemory } from "../common/errors.ts";
import {
  arrayOf,
  type HeapView,
  MemoryViews,
  stringBytes,
  stringPut,
  stringRead,
  type TypedArray,
  type TypedArrayConstructor,
  viewOf,
} from "../common/views.ts";
import type { CoreExports, HardCoreExports } from "../core/contract.ts";
import { NEW_FAILED, S_HARDENING, S_TOP } from "../core/layout/layout.ts";
import type { MemorySource } from "../memory/index.ts";
import { bufferReaching } from "../memory/source.ts";
import { heapBudget } from "./arenas.ts";
import type { CoreHooks, ErrorHandler } from "./backend.ts";
import { abiOf, type HeapAbi } from "./calls/abi.ts";
import type { BackEnd } from "./calls/contract.ts";
import { type DeferredFree, Host } from "./core-events.ts";
import { exitForget, exitWatch } from "./exit.ts";
import { featuresOf, type HardenedStart, type HardeningState } from "./hardening-features.ts";
import { HeapMemory } from "./heap-memory.ts";
import type { PurgeSettings } from "./purge-settings.ts";
import {
  type AreaVisitor,
  type BlockNext,
  type BlockVisitor,
  blocksVisit,
  guardsLift,
} from "./stats/walk.ts";
import { FirstClassHeap } from "./sub-heap.ts";

/** What a heap is made of. */
interface HeapParts {
  backend: BackEnd;
  source: MemorySource;
  onError: ErrorHandler | undefined;
  /** Of a memory that is new to heaps. */
  purge?: PurgeSettings;
  /** Other threads may grow the memory. */
  shared?: boolean;
  hardening: HardenedStart | undefined;
  start(hooks: CoreHooks): CoreExports;
}

export interface NewHeapOptions {
  /** Id of the arena that it allocates from; any memory without one. */
  arena?: number | undefined;
  /** The most bytes of slices that its pages may have. */
  maximum?: number | undefined;
}

export interface VisitOptions {
  /** Called for each run of memory that holds blocks, before these. */
  areas?: AreaVisitor;
}

/**
 * A heap over one memory, for one thread. Pointers are byte offsets into `buffer`; 0 is null and
 * never a block. Allocation answers 0 when memory is out; mistakes throw and change nothing.
 *
 * Algorithm: mimalloc (Leijen, Zorn, de Moura, APLAS 2019) over slices of 64 KiB.
 *
 * @example
 * using heap = createHeap();
 * const ptr = heap.malloc(100);
 * heap.u8[ptr] = 1;
 * heap.free(ptr);
 */
export class Heap extends HeapMemory {
  /** Where the bytes come from. */
  override readonly source: MemorySource;
  readonly backend: BackEnd;
  /** C's allocation functions, unchecked, for the import object of a wasm module. */
  readonly abi: HeapAbi;
  readonly #host: Host;
  readonly #views: MemoryViews;
  readonly #hardened: boolean;
  /** The heaps beside this one, by their ids. */
  readonly #heaps = new Map<number, FirstClassHeap>();

  /** Use createHeap. */
  constructor(parts: HeapParts) {
    const host = new Host(parts.onError);
    const core = parts.start({
      onError: (code, size) => host.coreError(code, size),
      onGrow: () => host.views?.reset(),
      onReport: (report) => host.coreReport(report),
    });
    super(core, host);
    this.#host = host;
    this.#hardened = parts.hardening !== undefined;
    host.watching = this.watching;
    this.backend = parts.backend;
    this.source = parts.source;
    this.#views = new MemoryViews(this);
    host.views = this.#views;
    if (parts.shared) this.#views.share(this.source.start + S_TOP);
    this.memoryBegin(parts.purge);
    this.abi = abiOf(core, this.backend, {
      newNothrow: (size) => this.newNothrow(size),
      newAlignedNothrow: (size, alignment) => this.newAlignedNothrow(size, alignment),
      heapNew: () => core.heapNew(),
      arenas: this.arenas,
      realpath: (path, into) => this.realpath(path, into),
      newFailed: (size) => host.coreError(NEW_FAILED, size),
      bytes: () => host.bytes(),
      statsReset: () => this.statsReset(),
      printStats: () => this.printStats(),
      processInfo: () => this.processInfo(),
    });
    exitWatch(this);
  }

  /**
   * A heap beside this one: with pages of its own, in the same memory, for the same thread. All its
   * blocks can go at once, and any heap of any thread can free each of them.
   *
   * `maximum` is a budget in bytes, at least 64 KiB: its pages never take more slices of 64 KiB
   * than go into it; beyond that allocation answers 0, and works again after frees. `arena`: it
   * allocates from this arena only.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY, also when 124 heaps share a memory.
   * @throws RangeError for an arena that is not there, or a budget below a slice.
   * @example
   * const scratch = heap.newHeap({ maximum: 2 ** 20 });
   * scratch.malloc(100);
   * scratch.destroy();
   */
  newHeap(options: NewHeapOptions = {}): FirstClassHeap {
    const most = heapBudget(options);
    if (options.arena !== undefined && !this.arenas.area(options.arena)) {
      throw new RangeError(`newHeap: there is no arena ${options.arena}`);
    }
    const id = this.core.heapNew() >>> 0;
    if (id === 0) throw outOfMemory("newHeap", 2048);
    if (most !== 0 || options.arena) this.core.heapLimit(id, most, options.arena ?? 0);
    return this.#heapOf(id);
  }

  /** The heap that takes over the blocks of heaps that are deleted; it ends with this object. */
  get backingHeap(): FirstClassHeap {
    return this.#heapOf(this.core.heapBacking() >>> 0);
  }

  /** The heap from which this object's own calls and `abi` allocate: at first the backing heap. */
  get defaultHeap(): FirstClassHeap {
    return this.#heapOf(this.core.heapBound() >>> 0);
  }

  /** Makes a heap of this one's the default heap; answers the one before. */
  setDefaultHeap(heap: FirstClassHeap): FirstClassHeap {
    const before = this.defaultHeap;
    if (!this.knows(heap))
      throw new TypeError("setDefaultHeap needs a heap that newHeap of this heap made");
    this.core.heapBind(heap.id);
    return before;
  }

  /** Whether a heap is one of this heap's, and has not ended. */
  knows(heap: FirstClassHeap): boolean {
    return heap instanceof FirstClassHeap && this.#heaps.get(heap.id) === heap;
  }

  #heapOf(id: number): FirstClassHeap {
    const known = this.#heaps.get(id);
    if (known) return known;
    const heap = new FirstClassHeap({
      id,
      root: this,
      core: this.core,
      host: this.host,
      forget: () => this.#heaps.delete(id),
    });
    this.#heaps.set(id, heap);
    return heap;
  }

  /**
   * Whom to tell of requests that fail, from now on, with an errno and a size: 12 = out of memory,
   * 75 = too large, 14 = a damaged free list. Undefined: nobody. Takes the place of `onError`.
   *
   * A heap with hardening tells of mistakes, with the pointer and a sentence: 11 = double free,
   * 14 = overflow or a damaged list, 22 = no block. Then it goes on. Without a handler a mistake
   * throws a HeapError.
   */
  registerError(onError: ErrorHandler | undefined): void {
    checkFunction("onError", onError);
    this.#host.handler = onError;
  }

  /**
   * Has a function called at regular intervals, from inside allocations of this thread: a place to
   * free, a little at a time, what a reference count or a closed file has left. It may call any
   * function of the heap. Undefined: no more.
   */
  registerDeferredFree(free: DeferredFree | undefined): void {
    checkFunction("free", free);
    this.#host.deferred = free;
    this.core.deferredFree(free !== undefined);
  }

  /**
   * Gives every page without live blocks back to the heap's free slices; with `force` also all
   * free slices back to the memory, as `purge(true)` does.
   */
  collect(force = false): void {
    this.core.heapCollect(force);
    if (force) this.core.purge(true);
  }

  /** The bytes, as they are now; ask again after anything that may allocate. */
  get buffer(): ArrayBufferLike {
    return bufferReaching(this.source, this.#views.least);
  }

  /** The memory for a wasm module's imports; undefined over an ArrayBuffer. */
  get memory(): WebAssembly.Memory | undefined {
    return this.source.memory;
  }

  get i8(): Int8Array {
    return this.#views.of("i8");
  }
  get u8(): Uint8Array {
    return this.#views.of("u8");
  }
  get u8c(): Uint8ClampedArray {
    return this.#views.of("u8c");
  }
  get i16(): Int16Array {
    return this.#views.of("i16");
  }
  get u16(): Uint16Array {
    return this.#views.of("u16");
  }
  get i32(): Int32Array {
    return this.#views.of("i32");
  }
  override get u32(): Uint32Array {
    return this.#views.of("u32");
  }
  get f32(): Float32Array {
    return this.#views.of("f32");
  }
  get f64(): Float64Array {
    return this.#views.of("f64");
  }
  get i64(): BigInt64Array {
    return this.#views.of("i64");
  }
  get u64(): BigUint64Array {
    return this.#views.of("u64");
  }

  /** `length` elements at ptr as a view that stays right after growth. */
  view<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    ptr: number,
    length: number,
  ): HeapView<T> {
    return viewOf(this, type, ptr, length);
  }

  /**
   * A new block of `length` zero elements as a view.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocArray<T extends TypedArray>(type: TypedArrayConstructor<T>, length: number): HeapView<T> {
    checkSize(length, "length");
    const bytes = length * type.BYTES_PER_ELEMENT;
    checkSize(bytes, "size");
    return arrayOf(this, type, this.zalloc(bytes), length);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate`. The view's length counts
   * the bytes of the text, not the NUL.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocString(text: string, { terminate }: { terminate?: boolean } = {}): HeapView<Uint8Array> {
    const bytes = stringBytes(text, terminate);
    return stringPut(this, this.malloc(bytes.length), bytes, terminate);
  }

  /** The UTF-8 text of `length` bytes at ptr, or up to a NUL when no length is given. */
  readString(ptr: number, length?: number): string {
    return stringRead(this, ptr, length);
  }

  /**
   * Calls `visit` with address and usable size of every live block, in address order; false from it
   * stops. It may free the block it was given. Answers whether the walk came to its end.
   */
  visitBlocks(visit: BlockVisitor | undefined, { areas }: VisitOptions = {}): boolean {
    this.core.goodSize(0);
    return blocksVisit(this.u32, this.source.start, visit, { areas, next: this.blockNext });
  }

  /** What the hardening of this heap is; undefined without it. */
  get hardening(): HardeningState | undefined {
    if (!this.#hardened) return undefined;
    const weak = !!(this.core as HardCoreExports).randomIsWeak();
    return { features: featuresOf(this.#featureBits()), weak };
  }

  #featureBits(): number {
    return this.u32[(this.source.start + S_HARDENING) >>> 2] as number;
  }

  /** Follows the links of a hardened heap's free lists, which a walk cannot read. */
  get blockNext(): BlockNext | undefined {
    if (!this.#hardened) return undefined;
    const core = this.core as HardCoreExports;
    return (page, block) => core.linkLoad(page, block) >>> 0;
  }

  /** Ends the heap: later calls throw. A memory of its own can be collected then. */
  destroy(): void {
    if (this.#hardened) guardsLift(this.u32, this.source);
    this.end(heapDestroyed);
  }

  /** Every later call throws, also of the heaps beside this one. */
  protected override end(error: () => HeapError): void {
    super.end(error);
    exitForget(this);
    for (const heap of [...this.#heaps.values()]) heap.endWith(error);
    this.#views.reset();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
