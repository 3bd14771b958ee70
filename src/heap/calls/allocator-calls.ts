/** The documentation of every call: an editor shows it for heaps and debug allocators alike. */

/**
 * The calls of C, POSIX, mimalloc and C++'s new, for JavaScript: names in camelCase, arguments in
 * C's order, every argument checked. `Heap`, `SharedHeap`, `SubHeap`, `DebugAllocator` and
 * `DebugHeap` have all of them.
 *
 * Pointers are byte offsets into the memory of the allocator, from 0 to 2^32 - 1; 0 is null and
 * never a block. Sizes, counts and offsets are whole numbers from 0 to 2^31 - 1, in bytes where
 * nothing else is said. Alignments are powers of two up to 2^30, or up to 2^20 together with an
 * offset. A request that cannot be met returns 0 and changes nothing.
 *
 * Errors that every call throws: TypeError for an argument of the wrong type, RangeError for one
 * out of range, for an address behind the memory and for a text without a NUL, HeapError
 * ERR_NOT_A_BLOCK or ERR_INTERIOR_POINTER for a pointer that should be a block, ERR_NOT_A_BLOCK for
 * a result that would be written over what the heap itself has, ERR_HEAP_DESTROYED or
 * ERR_HEAP_DETACHED once the allocator has ended. A debug allocator reports what is wrong with a
 * pointer in the place of throwing, and returns 0.
 */
export interface AllocatorCalls {
  /**
   * A block of at least `size` bytes, aligned to 16; blocks of up to 8 bytes are aligned to 8. Its
   * contents are undefined. `malloc(0)` is a block too. Returns 0 when memory is out.
   *
   * @example
   * const ptr = heap.malloc(100);
   * heap.u8.fill(0, ptr, ptr + 100);
   * heap.free(ptr);
   */
  malloc(size: number): number;

  /**
   * A block of `count * size` zero bytes. Returns 0 when memory is out, and when the product is
   * beyond 2^31 - 1.
   *
   * @example
   * const words = heap.calloc(25, 4);
   */
  calloc(count: number, size: number): number;

  /** A block of `size` zero bytes; 0 when memory is out. */
  zalloc(size: number): number;

  /** A block of `count * size` bytes; 0 when memory is out or the product beyond 2^31 - 1. */
  mallocn(count: number, size: number): number;

  /**
   * Resizes a block, moving it if need be. Contents up to the smaller size stay, what grows is
   * undefined. A null pointer allocates; size 0 gives another, minimal block. Returns where the
   * block is afterwards; 0 when memory is out, and then ptr is as it was.
   *
   * @example
   * let ptr = heap.malloc(100);
   * ptr = heap.realloc(ptr, 1000) || ptr;
   */
  realloc(ptr: number, size: number): number;

  /** `realloc` to `count * size` bytes; 0 also when the product is beyond 2^31 - 1. */
  reallocn(ptr: number, count: number, size: number): number;

  /** `reallocn` under the name of BSD and POSIX. */
  reallocarray(ptr: number, count: number, size: number): number;

  /**
   * `reallocarray` of the block whose address is in the word at address `at`, which holds the new
   * one afterwards; NetBSD's call. Returns 0, or an errno: 22 = `at` is null; 12 = out of memory,
   * and nothing has changed.
   */
  reallocarr(at: number, count: number, size: number): number;

  /** `realloc` that frees the block when it returns 0. */
  reallocf(ptr: number, size: number): number;

  /** `realloc` that clears what grows; for blocks that were allocated zero. */
  rezalloc(ptr: number, size: number): number;

  /** `rezalloc` to `count * size` bytes; 0 also when the product is beyond 2^31 - 1. */
  recalloc(ptr: number, count: number, size: number): number;

  /**
   * Resizes a block where it is. Returns ptr, or 0 when the block cannot hold `size` bytes there,
   * and then it is as it was. Never moves.
   */
  expand(ptr: number, size: number): number;

  /**
   * A block whose address is a multiple of `alignment`; 0 when memory is out.
   *
   * @example
   * const page = heap.memalign(4096, 10_000);
   */
  memalign(alignment: number, size: number): number;

  /** `memalign` under the name of C11. `size` need not be a multiple of `alignment`. */
  alignedAlloc(alignment: number, size: number): number;

  /**
   * A block p for which p + offset is a multiple of `alignment`, which is at most 2^20 then; 0 when
   * memory is out.
   */
  memalignAt(alignment: number, size: number, offset: number): number;

  /**
   * Stores the address of an aligned block in the word at address `out`. Returns 0, or an errno
   * that leaves `out` as it was: 22 = `alignment` is not a power of two from 4 on, or `out` is
   * null; 12 = out of memory. No alignment from 0 to 2^31 - 1 throws.
   *
   * @example
   * const out = heap.malloc(4);
   * if (heap.posixMemalign(out, 64, 1000) === 0) heap.free(heap.u32[out / 4]);
   */
  posixMemalign(out: number, alignment: number, size: number): number;

  /** A block at a multiple of 4096; 0 when memory is out. */
  valloc(size: number): number;

  /** `valloc` of `size` rounded up to a multiple of 4096; 0 also when that is beyond 2^31 - 1. */
  pvalloc(size: number): number;

  /** `memalign` with mimalloc's order of arguments. */
  mallocAligned(size: number, alignment: number): number;

  /** `memalignAt` with mimalloc's order of arguments. */
  mallocAlignedAt(size: number, alignment: number, offset: number): number;

  /** `mallocAligned`, the whole block zero. */
  zallocAligned(size: number, alignment: number): number;

  /** `mallocAlignedAt`, the whole block zero. */
  zallocAlignedAt(size: number, alignment: number, offset: number): number;

  /** `zallocAligned` of `count * size` bytes; 0 also when the product is beyond 2^31 - 1. */
  callocAligned(count: number, size: number, alignment: number): number;

  /** `zallocAlignedAt` of `count * size` bytes; 0 also when the product is beyond 2^31 - 1. */
  callocAlignedAt(count: number, size: number, alignment: number, offset: number): number;

  /** `realloc` to a block at a multiple of `alignment`, also if ptr is not at one. */
  reallocAligned(ptr: number, size: number, alignment: number): number;

  /** `realloc` to a block p for which p + offset is a multiple of `alignment`. */
  reallocAlignedAt(ptr: number, size: number, alignment: number, offset: number): number;

  /** `reallocAligned` that clears what grows; for blocks that were allocated zero. */
  rezallocAligned(ptr: number, size: number, alignment: number): number;

  /** `reallocAlignedAt` that clears what grows; for blocks that were allocated zero. */
  rezallocAlignedAt(ptr: number, size: number, alignment: number, offset: number): number;

  /** `rezallocAligned` to `count * size` bytes; 0 also when the product is beyond 2^31 - 1. */
  recallocAligned(ptr: number, count: number, size: number, alignment: number): number;

  /** `rezallocAlignedAt` to `count * size` bytes; 0 also when the product is beyond 2^31 - 1. */
  recallocAlignedAt(
    ptr: number,
    count: number,
    size: number,
    alignment: number,
    offset: number,
  ): number;

  /**
   * Frees a block; null is ignored.
   *
   * @throws HeapError ERR_NOT_A_BLOCK or ERR_INTERIOR_POINTER; the heap is as it was then. A block
   * that is freed twice is found by a heap with hardening and by a debug allocator.
   */
  free(ptr: number): void;

  /**
   * `free` for callers that know the size which the block was allocated with.
   *
   * @throws HeapError ERR_SIZE_MISMATCH when the block cannot have been of that size.
   */
  freeSize(ptr: number, size: number): void;

  /**
   * `free` for callers that know the size and the alignment of the block.
   *
   * @throws HeapError ERR_SIZE_MISMATCH when the block cannot have been of these.
   */
  freeSizeAligned(ptr: number, size: number, alignment: number): void;

  /**
   * `free` for callers that know the alignment of the block.
   *
   * @throws HeapError ERR_SIZE_MISMATCH when the block does not lie at a multiple of it.
   */
  freeAligned(ptr: number, alignment: number): void;

  /** `free` that ignores a pointer which lies in no block of this heap. */
  cfree(ptr: number): void;

  /**
   * Bytes that the block at ptr can hold; of a debug allocator, the bytes that it was allocated
   * with. 0 for null.
   */
  usableSize(ptr: number): number;

  /** `usableSize` under the name of macOS. */
  mallocSize(ptr: number): number;

  /** What `usableSize` of a new block for `size` bytes will be. */
  goodSize(size: number): number;

  /** `goodSize` under the name of macOS. */
  mallocGoodSize(size: number): number;

  /** Whether an address lies in a block, live or free, of this heap. */
  contains(ptr: number): boolean;

  /** A copy of the NUL-terminated string at ptr, in a new block; 0 for null or without memory. */
  strdup(ptr: number): number;

  /**
   * A NUL-terminated copy of at most `max` bytes of the string at ptr, in a new block; 0 for null
   * or without memory.
   */
  strndup(ptr: number, max: number): number;

  /** `strdup` of bytes in any encoding, under Microsoft's name. */
  mbsdup(ptr: number): number;

  /** A copy of the string of 16-bit characters at ptr, in a new block; 0 for null. */
  wcsdup(ptr: number): number;

  /**
   * Stores the address of a copy of a variable of the environment in the word at address `out`, and
   * its length in bytes in the word at address `size` unless that is null. `name` is the address
   * of the variable's name, NUL-terminated UTF-8. A variable that is not there gives null.
   * Microsoft's call. Returns 0, or an errno: 22 = `out` or `name` is null; 12 = out of memory.
   */
  dupenvS(out: number, size: number, name: number): number;

  /** `dupenvS` in characters of 16 bits; the length counts these. */
  wdupenvS(out: number, size: number, name: number): number;

  /**
   * The path at ptr, NUL-terminated UTF-8, without links and dots: in a new block, or at the
   * address `into`. Returns its address; 0 for null, for a path at which there is nothing, without
   * memory, and where there is no file system: only Node has one.
   */
  realpath(ptr: number, into?: number): number;

  /**
   * C++'s operator new: calls the new-handler and tries again while memory is out. Sizes may go up
   * to 2^32 - 1; those beyond 2^31 - 1 count as out of memory, and call the handler once.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY when there is no new-handler (any more).
   */
  "new"(size: number): number;

  /** `new` that returns 0 in the place of throwing. */
  newNothrow(size: number): number;

  /**
   * `new` of `count * size` bytes. For a product beyond 2^31 - 1 it calls the new-handler once and
   * returns 0; without a handler it throws.
   */
  newN(count: number, size: number): number;

  /** `new` at a multiple of `alignment`. */
  newAligned(size: number, alignment: number): number;

  /** `newNothrow` at a multiple of `alignment`. */
  newAlignedNothrow(size: number, alignment: number): number;

  /** `realloc` that calls the new-handler while memory is out, and throws as `new` does. */
  newRealloc(ptr: number, size: number): number;

  /** `newRealloc` to `count * size` bytes; a product beyond 2^31 - 1 is as for `newN`. */
  newReallocn(ptr: number, count: number, size: number): number;

  /**
   * Sets the function that `new` and its kin call when memory is out: it frees something, removes
   * itself, or throws. Undefined: none.
   */
  setNewHandler(handler: (() => void) | undefined): void;
}
