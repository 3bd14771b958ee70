/** The hardened malloc: blocks with checked headers and a quarantine, over the size classes. */
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import type { SizeClassHeap } from "../heap/linear.ts";
import { type EndingWorker, SharedSizeClassHeap } from "../heap/shared.ts";
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
import { HardenedCApi } from "./calls.ts";
import { checkBytes, checkFill, checkKind } from "./checks.ts";
import { type Origin, PAGE } from "./reports.ts";
import { type HardenedStats, mallocInfo, quarantineText, statsOf } from "./stats.ts";
import {
  type HardenedHandle,
  handleOf,
  requireShared,
  threadDetach,
  workerStart,
} from "./threads.ts";

/**
 * C's and C++'s allocation functions. Each block has a header with a checksum, which holds its
 * state and the function that allocated it; new blocks come in a random order. A mistake throws a
 * HardenedError with Scudo's text, and the block stays as it was.
 *
 * A header takes 16 bytes. `usableSize` is the size of the request. Every call throws a TypeError
 * or a RangeError unless pointers are whole numbers from 0 to 2^32 - 1 and sizes from 0 to 2^31 -
 * 1. Requests that fail return 0, or throw if `mayReturnNull` is false.
 *
 * Algorithm: Scudo (Kortchinsky and others, LLVM).
 *
 * @example
 * const heap = createHardenedMalloc({ quarantineSizeKb: 256 });
 * const ptr = heap.malloc(100);
 * heap.free(ptr);
 * heap.free(ptr); // throws: invalid chunk state when deallocating address …
 */
export class HardenedMalloc implements Disposable {
  /** The size classes that the blocks are allocated from. */
  readonly heap: SizeClassHeap;
  readonly #parts: HardenedParts;
  readonly #blocks: HardenedBlocks;
  readonly #calls: HardenedCApi;
  #abi: HardenedAbi | undefined;

  /** Use createHardenedMalloc or attachHardenedMalloc. */
  constructor(parts: HardenedParts) {
    this.heap = parts.heap;
    this.#parts = parts;
    this.#blocks = new HardenedBlocks(parts);
    this.#calls = new HardenedCApi(this.#blocks);
  }

  /** Allocates a block of `size` bytes, aligned to 16. Returns its address. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.#calls.malloc(size);
  }

  /** Allocates a block of `count * size` zero bytes, aligned to 16. Returns its address. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#calls.calloc(count, size);
  }

  /**
   * Allocates a block whose address is a multiple of `alignment`. Returns its address.
   *
   * @throws TypeError or RangeError unless alignment is a power of two up to 2^30.
   */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.#calls.memalign(alignment, size);
  }

  /**
   * C11's aligned_alloc: fails unless `alignment` is a power of two and `size` a multiple of it.
   * Returns the address of the block.
   */
  alignedAlloc(alignment: number, size: number): number {
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    return this.#calls.alignedAlloc(alignment, size);
  }

  /**
   * posix_memalign: fails unless `alignment` is a power of two and a multiple of 4. Returns the
   * address of the block, where C writes it to memory.
   */
  posixMemalign(alignment: number, size: number): number {
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    return this.#calls.posixMemalign(alignment, size);
  }

  /** Allocates a block at a multiple of 4 KiB. Returns its address. */
  valloc(size: number): number {
    return this.memalign(PAGE, size);
  }

  /** valloc of `size` rounded up to a multiple of 4 KiB; of 4 KiB for 0. */
  pvalloc(size: number): number {
    checkSize(size, "size");
    return this.#calls.pvalloc(size);
  }

  /**
   * C++'s operator new, or operator new[] if `array`. Returns the address of the block, a multiple
   * of `alignment`.
   *
   * @throws TypeError or RangeError unless alignment is a power of two up to 2^30.
   */
  operatorNew(size: number, array = false, alignment = 16): number {
    checkSize(size, "size");
    checkAlignment(alignment);
    checkKind("array", "a boolean", array);
    return this.#calls.operatorNew(size, array, alignment);
  }

  /**
   * C++'s operator delete; null is ignored. `size` is the argument of a sized delete, `alignment`
   * that of an aligned one: the address of the block must be a multiple of it.
   *
   * @throws HardenedError unless ptr is a live block of operator new, with that size and alignment.
   */
  operatorDelete(ptr: number, size?: number, alignment?: number): void {
    this.#deallocate(ptr, NEW, size, alignment);
  }

  /**
   * C++'s operator delete[], with the arguments of operatorDelete.
   *
   * @throws HardenedError unless ptr is a live block of operator new[], with that size and
   * alignment.
   */
  operatorDeleteArray(ptr: number, size?: number, alignment?: number): void {
    this.#deallocate(ptr, NEW_ARRAY, size, alignment);
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws HardenedError unless ptr is a live block of malloc or of the aligned calls.
   */
  free(ptr: number): void {
    checkPointer(ptr);
    this.#calls.free(ptr);
  }

  /**
   * C23's free_sized: free for callers that know the size.
   *
   * @throws HardenedError as free does, and for another size than that of the request.
   */
  freeSize(ptr: number, size: number): void {
    checkSize(size, "size");
    this.#deallocate(ptr, MALLOC, size, undefined);
  }

  /**
   * C23's free_aligned_sized: free for callers that know the size and the alignment.
   *
   * @throws HardenedError as freeSize does, and for an alignment that the block does not have.
   */
  freeSizeAligned(ptr: number, size: number, alignment: number): void {
    checkSize(size, "size");
    checkSize(alignment, "alignment");
    this.#deallocate(ptr, MALLOC, size, alignment);
  }

  /**
   * Resizes a block, in place if its class stays the same; a null pointer allocates, and size 0
   * returns a block of size 0. A block that moves loses the alignment that memalign gave it.
   * Returns the new address; where it fails, the block is as it was.
   *
   * @throws HardenedError unless ptr is a live block of malloc or of the aligned calls.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    checkSize(size, "size");
    return this.#calls.realloc(ptr, size);
  }

  /** realloc as in Scudo: size 0 frees the block and returns 0. */
  reallocate(ptr: number, size: number): number {
    if (ptr === 0 || size !== 0) return this.realloc(ptr, size);
    this.free(ptr);
    return 0;
  }

  /** realloc to `count * size` bytes; fails where the product does not fit into 32 bits. */
  reallocarray(ptr: number, count: number, size: number): number {
    checkPointer(ptr);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#calls.reallocarray(ptr, count, size);
  }

  /**
   * Size of the request for the block at ptr; all bytes that it holds, if `exactUsableSize` is
   * false. 0 for null.
   *
   * @throws HardenedError unless ptr is a live block.
   */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return this.#calls.usableSize(ptr);
  }

  /** Whether ptr is a live block of this allocator. Does not throw for any pointer. */
  isOwned(ptr: number): boolean {
    checkPointer(ptr);
    return this.#blocks.isOwned(ptr);
  }

  /**
   * Calls `visit` with each live block that begins in the `bytes` bytes from `from` on. Blocks that
   * other threads allocate or free meanwhile may be visited or not, unless the allocator is
   * disabled.
   */
  forEachBlock(
    visit: (ptr: number, size: number) => void,
    from = 0,
    bytes: number = 2 ** 32,
  ): void {
    checkKind("visit", "a function", visit);
    checkPointer(from);
    checkBytes(bytes);
    this.#blocks.forEach((ptr, size) => {
      if (ptr >= from && ptr - from < bytes) visit(ptr, size);
    });
  }

  /**
   * Acquires the locks of all classes and of the large blocks: until `enable`, only blocks in the
   * caches of other threads change, calls of this thread that allocate or free throw ERR_DISABLED,
   * and other threads may run out of memory. Returns false, with the allocator enabled, if another
   * thread kept a lock for too long.
   */
  disable(): boolean {
    return this.#blocks.disable();
  }

  /** Ends disable. Does nothing if the allocator is enabled. */
  enable(): void {
    this.#blocks.enable();
  }

  /**
   * What is known about the block that contains an address; undefined where there never was one.
   */
  errorInfo(address: number): ErrorInfo | undefined {
    checkPointer(address);
    return this.#blocks.describe(address);
  }

  /**
   * Whether this thread records the stack of each allocation and free, for errors and `errorInfo`.
   * It takes some microseconds a call, and stays off if `allocationRingBufferSize` is 0. Default:
   * false.
   */
  get trackAllocationStacks(): boolean {
    return this.#blocks.tracks;
  }
  set trackAllocationStacks(on: boolean) {
    checkKind("trackAllocationStacks", "a boolean", on);
    this.#blocks.tracks = on;
  }

  /** What new blocks of this thread are filled with. Default: as the flags say. */
  get fillContents(): FillContents {
    return this.#blocks.fill;
  }
  set fillContents(fill: FillContents) {
    checkFill(fill);
    this.#blocks.fill = fill;
  }

  /**
   * Recycles the quarantine, and returns the chunks in this thread's cache to their regions.
   *
   * @throws HardenedError for a block in quarantine whose header was overwritten; all others are
   * recycled.
   */
  drain(): void {
    this.#blocks.checkEnabled();
    this.#blocks.quarantine.drain();
    this.heap.drain();
  }

  /**
   * Releases every whole page of free chunks to the system now. `all` drains first, which frees
   * what is in quarantine and in this thread's cache. Returns the number of bytes: 0 where the
   * memory cannot release.
   */
  releaseToOS(all = false): number {
    checkKind("all", "a boolean", all);
    if (all) this.drain();
    this.#blocks.checkEnabled();
    if (this.heap.source.pages === undefined) return 0;
    const released = () =>
      this.heap.primary.stats().reduce((sum, one) => sum + one.releasedBytes, 0);
    const before = released();
    this.heap.primary.releaseAll();
    return released() - before;
  }

  /** Releases what was freed, at an interval: see SizeClassAllocator. The quarantine is kept. */
  releaseEvery(milliseconds: number): void {
    this.heap.releaseEvery(milliseconds);
  }

  /** Statistics of blocks and memory. Visits every block. */
  stats(): HardenedStats {
    return statsOf(this.#blocks);
  }

  /** Statistics of regions, large blocks and the quarantine as text, in Scudo's format. */
  printStats(): string {
    return this.heap.printStats() + quarantineText(this.#blocks);
  }

  /** The sizes of the live blocks, and how many there are of each, as the XML of malloc_info. */
  mallocInfo(): string {
    return mallocInfo(this.#blocks);
  }

  /** C's and C++'s functions for the import object of a wasm module. */
  get abi(): HardenedAbi {
    this.#abi ??= hardenedAbi(this.#calls);
    return this.#abi;
  }

  /** The memory as bytes: element i is address i. Read it again after a call that may allocate. */
  get u8(): Uint8Array {
    return this.heap.u8;
  }

  /** The memory as unsigned 32-bit words: element i is address 4 * i. */
  get u32(): Uint32Array {
    return this.heap.u32;
  }

  /** The buffer of the memory as it is now: read it again after any call that may allocate. */
  get buffer(): ArrayBufferLike {
    return this.heap.buffer;
  }

  /** The memory for the imports of a wasm module; undefined over an ArrayBuffer. */
  get memory(): WebAssembly.Memory | undefined {
    return this.heap.memory;
  }

  /**
   * A handle for attachHardenedMalloc, for any number of threads.
   *
   * @throws TypeError unless the allocator was created with `shared: true`.
   */
  handle(): HardenedHandle {
    return handleOf(requireShared(this.heap).handle(), this.#parts);
  }

  /**
   * Starts a Worker of Node with a handle for it alone, and recovers what it leaves behind when it
   * ends in any way. `start` gets the handle and returns the Worker, which startWorker returns.
   *
   * @throws TypeError unless the allocator was created with `shared: true`.
   * @example
   * heap.startWorker((handle) => new Worker(url, { workerData: handle }));
   */
  startWorker<W extends EndingWorker>(start: (handle: HardenedHandle) => W): W {
    checkKind("start", "a function", start);
    return workerStart(this.#parts, this.#blocks.quarantine, start);
  }

  /**
   * Detaches this thread: its blocks in quarantine move to the list of all threads, and later calls
   * throw.
   *
   * @throws HardenedError for a block in quarantine whose header was overwritten; the thread is
   * detached all the same.
   */
  detach(): void {
    threadDetach(this.heap, this.#blocks.quarantine);
  }

  /**
   * Frees what a thread held that has ended without detach: see SharedSizeClassHeap. What it had in
   * a quarantine of its own is lost. Returns false if no such thread is attached.
   */
  recover(threadId: number): boolean {
    const known = requireShared(this.heap).recover(threadId);
    this.#blocks.quarantine.recover(threadId);
    return known;
  }

  /** Ends the allocator; where threads share it, detaches this one. Later calls throw. */
  destroy(): void {
    if (this.heap instanceof SharedSizeClassHeap) this.detach();
    else this.heap.destroy();
  }

  /** destroy, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  #deallocate(ptr: number, origin: Origin, size?: number, alignment?: number): void {
    checkPointer(ptr);
    if (size !== undefined) checkSize(size, "size");
    if (alignment !== undefined) checkSize(alignment, "alignment");
    this.#calls.deallocate(ptr, origin, { size, alignment });
  }
}
