/** The hardened malloc: blocks with checked headers and a quarantine, over the size classes. */
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { wrongKind } from "../../common/errors.ts";
import type { SizeClassHeap } from "../heap/allocator.ts";
import { type EndingWorker, SharedSizeClassHeap, type SizeClassHandle } from "../heap/shared.ts";
import { type HardenedAbi, hardenedAbi } from "./abi.ts";
import {
  type ErrorInfo,
  type FillContents,
  HardenedBlocks,
  type HardenedParts,
  MALLOC,
  NEW,
  NEW_ARRAY,
} from "./blocks.ts";
import { HardenedVerbs } from "./calls.ts";
import type { HardenedFlags } from "./flags.ts";
import { LIST_BYTES, type QuarantineStats } from "./quarantine.ts";
import { type Origin, PAGE } from "./reports.ts";
import { type HardenedStats, mallocInfo, quarantineText, statsOf } from "./stats.ts";

/** What a thread that attaches needs: the heap's handle, and what is only the hardened malloc's. */
export interface HardenedHandle {
  readonly heap: SizeClassHandle;
  readonly flags: HardenedFlags;
  readonly cookie: number;
  readonly list: number;
}

/**
 * C's and C++'s allocation functions, each block with a checksummed header that says whether it is
 * allocated and by whom, over regions that are shuffled from a random seed. Mistakes throw a
 * HardenedError with Scudo's text, and the block stays as it was.
 *
 * A block takes 16 bytes for its header. `usableSize` is what was asked for. Pointers must be whole
 * numbers from 0 to 2^32 - 1 and sizes up to 2^31 - 1: else TypeErrors and RangeErrors.
 *
 * Algorithm: Scudo (Kortchinsky and others, LLVM).
 *
 * @example
 * const heap = hardenedMalloc({ quarantineSizeKb: 256 });
 * const ptr = heap.malloc(100);
 * heap.free(ptr);
 * heap.free(ptr); // throws: invalid chunk state when deallocating address …
 */
export class HardenedMalloc {
  /** The size classes below. */
  readonly heap: SizeClassHeap;
  readonly #parts: HardenedParts;
  readonly #blocks: HardenedBlocks;
  readonly #verbs: HardenedVerbs;
  #abi: HardenedAbi | undefined;

  /** Use hardenedMalloc or attachHardenedMalloc. */
  constructor(parts: HardenedParts) {
    this.heap = parts.heap;
    this.#parts = parts;
    this.#blocks = new HardenedBlocks(parts);
    this.#verbs = new HardenedVerbs(this.#blocks);
  }

  /** A block of `size` bytes, aligned to 16; 0 = out of memory, if `mayReturnNull`. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.#verbs.malloc(size);
  }

  /** A block of `count * size` zero bytes. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#verbs.calloc(count, size);
  }

  /** A block whose address is a multiple of `alignment`, a power of two up to 2^30. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.#verbs.memalign(alignment, size);
  }

  /** C11's aligned_alloc: `size` must be a multiple of `alignment`. */
  alignedAlloc(alignment: number, size: number): number {
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    return this.#verbs.alignedAlloc(alignment, size);
  }

  /** The block of posix_memalign; 0 also for an alignment that is none, if `mayReturnNull`. */
  posixMemalign(alignment: number, size: number): number {
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    return this.#verbs.posixMemalign(alignment, size);
  }

  /** A block at a multiple of 4 KiB. */
  valloc(size: number): number {
    return this.memalign(PAGE, size);
  }

  /** valloc of `size` rounded up to 4 KiB, and of 4 KiB for 0. */
  pvalloc(size: number): number {
    checkSize(size, "size");
    return this.#verbs.pvalloc(size);
  }

  /** operator new, and operator new[] if `array`; at a multiple of `alignment`, a power of two. */
  operatorNew(size: number, array = false, alignment = 16): number {
    checkSize(size, "size");
    checkAlignment(alignment);
    checkGiven("array", "a boolean", array);
    return this.#verbs.operatorNew(size, array, alignment);
  }

  /**
   * operator delete; null is ignored. `size` is that of a sized delete, `alignment` that of an
   * aligned one: the block must lie at a multiple of it.
   */
  operatorDelete(ptr: number, size?: number, alignment?: number): void {
    this.#deallocate(ptr, NEW, size, alignment);
  }

  /** operator delete[]. */
  operatorDeleteArray(ptr: number, size?: number, alignment?: number): void {
    this.#deallocate(ptr, NEW_ARRAY, size, alignment);
  }

  /** Frees a block of malloc or memalign; null is ignored. */
  free(ptr: number): void {
    checkPointer(ptr);
    this.#verbs.free(ptr);
  }

  /** free by who knows the size: C23's free_sized. */
  freeSize(ptr: number, size: number): void {
    checkSize(size, "size");
    this.#deallocate(ptr, MALLOC, size, undefined);
  }

  /** free by who knows size and alignment: C23's free_aligned_sized. */
  freeSizeAligned(ptr: number, size: number, alignment: number): void {
    checkSize(size, "size");
    checkSize(alignment, "alignment");
    this.#deallocate(ptr, MALLOC, size, alignment);
  }

  /**
   * Resizes a block, in place if its class still holds it; a null pointer allocates, and size 0
   * answers a block of no bytes. An alignment of memalign is lost when the block moves. 0 = out of
   * memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    checkSize(size, "size");
    return this.#verbs.realloc(ptr, size);
  }

  /** realloc as Scudo has it: size 0 frees the block and answers null. */
  reallocate(ptr: number, size: number): number {
    if (ptr === 0 || size !== 0) return this.realloc(ptr, size);
    this.free(ptr);
    return 0;
  }

  /** realloc to `count * size` bytes. */
  reallocarray(ptr: number, count: number, size: number): number {
    checkPointer(ptr);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#verbs.reallocarray(ptr, count, size);
  }

  /**
   * Bytes that the block at ptr was asked for with; all that it can hold, without
   * `exactUsableSize`. 0 for null.
   */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return this.#verbs.usableSize(ptr);
  }

  /** Whether ptr is a block in use of this allocator. Never throws for a pointer. */
  isOwned(ptr: number): boolean {
    checkPointer(ptr);
    return this.#blocks.isOwned(ptr);
  }

  /**
   * Calls `visit` with each block in use that begins in the `bytes` bytes from `from` on. What
   * other threads do meanwhile is seen or not, unless the allocator is disabled.
   */
  forEachBlock(
    visit: (ptr: number, size: number) => void,
    from = 0,
    bytes: number = 2 ** 32,
  ): void {
    checkGiven("visit", "a function", visit);
    checkPointer(from);
    checkBytes(bytes);
    this.#blocks.forEach((ptr, size) => {
      if (ptr >= from && ptr - from < bytes) visit(ptr, size);
    });
  }

  /**
   * Takes the locks of all regions and of the large blocks, for a moment in which nothing moves but
   * blocks in the caches of other threads. Until `enable`, calls of this thread that allocate or
   * free throw ERR_DISABLED, and other threads may run out of memory. False: another thread kept a
   * lock for too long, and the allocator is not disabled.
   */
  disable(): boolean {
    return this.#blocks.disable();
  }

  /** Ends disable; without that nothing happens. */
  enable(): void {
    this.#blocks.enable();
  }

  /** What an address has to do with a block; undefined where there never was one. */
  errorInfo(address: number): ErrorInfo | undefined {
    checkPointer(address);
    return this.#blocks.describe(address);
  }

  /**
   * Whether this thread notes the stack of each allocation and free, for errors and `errorInfo`;
   * that takes some microseconds a call. Stays off where `allocationRingBufferSize` is 0. Default:
   * false.
   */
  get trackAllocationStacks(): boolean {
    return this.#blocks.tracks;
  }
  set trackAllocationStacks(on: boolean) {
    checkGiven("trackAllocationStacks", "a boolean", on);
    this.#blocks.tracks = on;
  }

  /** What blocks are filled with that this thread allocates: at first as the flags say. */
  get fillContents(): FillContents {
    return this.#blocks.fill;
  }
  set fillContents(fill: FillContents) {
    if (!["none", "zero", "pattern"].includes(fill)) {
      throw new RangeError(`fillContents must be "none", "zero" or "pattern", not ${String(fill)}`);
    }
    this.#blocks.fill = fill;
  }

  /** Recycles the quarantine, and gives the thread's cache back to the regions. */
  drain(): void {
    this.#blocks.checkEnabled();
    this.#blocks.quarantine.drain();
    this.heap.drain();
  }

  /**
   * Releases every whole page of free chunks to the system, whatever the interval says; `all`
   * drains first, and so reaches what is in quarantine and in this thread's cache. Answers the
   * bytes: 0 where the memory cannot release.
   */
  releaseToOS(all = false): number {
    checkGiven("all", "a boolean", all);
    if (all) this.drain();
    this.#blocks.checkEnabled();
    if (this.heap.source.pages === undefined) return 0;
    const released = () =>
      this.heap.primary.stats().reduce((sum, one) => sum + one.releasedBytes, 0);
    const before = released();
    this.heap.primary.releaseAll();
    return released() - before;
  }

  /** Releases what was freed at an interval: see SizeClassAllocator. The quarantine stays. */
  releaseEvery(milliseconds: number): void {
    this.heap.releaseEvery(milliseconds);
  }

  quarantineStats(): QuarantineStats {
    return this.#blocks.quarantine.stats();
  }

  /** Figures of blocks and memory; looks at every block. */
  stats(): HardenedStats {
    return statsOf(this.#blocks);
  }

  /** Figures of regions, large blocks and the quarantine, in Scudo's format. */
  printStats(): string {
    return this.heap.printStats() + quarantineText(this.#blocks);
  }

  /** The sizes of blocks in use, and how many there are of each, as the XML of malloc_info. */
  mallocInfo(): string {
    return mallocInfo(this.#blocks);
  }

  /** C's and C++'s names for the import object of a wasm module. */
  get abi(): HardenedAbi {
    this.#abi ??= hardenedAbi(this.#verbs);
    return this.#abi;
  }

  get u8(): Uint8Array {
    return this.heap.u8;
  }
  get u32(): Uint32Array {
    return this.heap.u32;
  }
  get buffer(): ArrayBufferLike {
    return this.heap.buffer;
  }
  get memory(): WebAssembly.Memory | undefined {
    return this.heap.memory;
  }

  /** What another thread needs for attachHardenedMalloc. */
  handle(): HardenedHandle {
    return this.#handle(this.#shared().handle());
  }

  #handle(heap: SizeClassHandle): HardenedHandle {
    const { flags, cookie, list } = this.#parts;
    return { heap, flags, cookie, list };
  }

  /**
   * Starts a Worker of Node with a handle of its own, and recovers what it leaves behind when it
   * ends, however it does.
   */
  startWorker<W extends EndingWorker>(start: (handle: HardenedHandle) => W): W {
    checkGiven("start", "a function", start);
    let threadId = 0;
    const worker = this.#shared().startWorker((heap) => {
      threadId = heap.threadId;
      return start(this.#handle(heap));
    });
    worker.once("exit", () => this.#blocks.quarantine.recover(threadId));
    return worker;
  }

  /**
   * Ends this thread's part: what it keeps in quarantine goes to the other threads.
   *
   * @throws HardenedError for a block that was damaged there; the thread has detached all the same.
   */
  detach(): void {
    const heap = this.#shared();
    try {
      this.#blocks.quarantine.leave();
    } finally {
      heap.detach();
    }
  }

  /** Gives back what a thread had that does not run any more: see SharedSizeClassHeap. */
  recover(threadId: number): boolean {
    const known = this.#shared().recover(threadId);
    this.#blocks.quarantine.recover(threadId);
    return known;
  }

  /** Ends the allocator, or this thread's part of it: later calls throw. */
  destroy(): void {
    if (this.heap instanceof SharedSizeClassHeap) this.detach();
    else this.heap.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #shared(): SharedSizeClassHeap {
    if (this.heap instanceof SharedSizeClassHeap) return this.heap;
    throw new TypeError("threads need shared: true");
  }

  #deallocate(ptr: number, origin: Origin, size?: number, alignment?: number): void {
    checkPointer(ptr);
    if (size !== undefined) checkSize(size, "size");
    if (alignment !== undefined) checkSize(alignment, "alignment");
    this.#verbs.deallocate(ptr, origin, { size, alignment });
  }
}

/** @throws TypeError for another kind: "a boolean" or "a function". */
function checkGiven(name: string, kind: string, value: unknown): void {
  if (`a ${typeof value}` !== kind) throw wrongKind(name, kind, value);
}

/** A length of addresses: up to 2^32. */
function checkBytes(bytes: unknown): void {
  if (typeof bytes !== "number") throw wrongKind("bytes", "a number", bytes);
  if (Number.isInteger(bytes) && bytes >= 0 && bytes <= 2 ** 32) return;
  throw new RangeError(`bytes must be a whole number from 0 to ${2 ** 32}, not ${bytes}`);
}

/** Words of the quarantine's list, zero at first. */
export function listMake(heap: SizeClassHeap): number {
  return heap.zalloc(LIST_BYTES);
}
