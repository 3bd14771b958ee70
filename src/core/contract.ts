/**
 * The exports of an instance of the core, of either back end. Sizes and pointers are u32; from
 * WebAssembly, pointers above 2 GiB arrive as negative numbers, which `>>> 0` corrects.
 */
export interface CoreExports {
  /** Makes a heap at `base`. flags: INIT_* of layout.ts; true is INIT_ZEROED. */
  heapInit(base: number, flags: number): void;
  heapAttach(base: number): void;
  heapCollect(force?: boolean | number): void;
  /** Works on another heap of this thread from now on; returns the heap that was bound before. */
  heapBind(heap: number): number;
  heapBound(): number;
  heapBacking(): number;
  /** Returns the id of a new heap of this thread; 0 = out of memory, or all areas are taken. */
  heapNew(): number;
  /** Destroys a heap that heapNew made; its pages and their blocks move to the backing heap. */
  heapDelete(heap: number): void;
  /** Destroys a heap that heapNew made, with all its blocks. */
  heapDestroy(heap: number): void;
  /** Delays in ticks, 0xffffffff = never; `how`: PAGES_* of layout.ts. */
  purgeSet(delay: number, extend: number, mult: number, how: number): void;
  /** Counts a tick and purges what is due; with `force` all that is free. */
  purge(force: boolean | number): void;
  /** Makes an arena of free or new slices. Returns its id, or 0. flags: ARENA_* of layout.ts. */
  arenaMake(count: number, flags: number, node: number): number;
  /** Makes an arena of slices that belong to no heap. Returns its id, or 0. */
  arenaGive(first: number, count: number, flags: number, node: number): number;
  /** Gives a new heap a budget in slices and an arena; false: the arena does not exist. */
  heapLimit(heap: number, most: number, arena: number): boolean | number;
  /** Sets the NUMA node that this thread runs on. */
  numaBind(node: number): void;
  /** Whether the core calls the host with DEFERRED_FREE at intervals. */
  deferredFree(wanted: boolean | number): void;
  /** Returns the id of the heap whose block contains p, or 0. */
  heapOf(p: number): number;
  /**
   * Reports the mallocs and frees of this thread to the host from now on: bits OBSERVE_*. The
   * caller updates the direct tables: see src/heap/stats/observers.ts.
   */
  observeBind(what: number): void;
  /** The next malloc that is reported comes after so many requested bytes. */
  observeSkip(bytes: number): void;
  /** Bytes that were left of these at the malloc that is being reported. */
  observeLeft(): number;
  /** Bytes that the reported malloc requested, or that a reported resized block had before. */
  observeSize(): number;
  /** Draws the first sample, of one allocation in `every`; counting begins with observeBind. */
  sampleBegin(every: number, seed: number): void;
  /** Alignment of the allocation that SAMPLE_DUE reports. */
  sampleAlignment(): number;
  /** Sets the result of SAMPLE_DUE or GUARD_SIZE. */
  sampleResult(value: number): void;
  /** Binds the views of the memory again. JavaScript only, for a buffer that detaches on growth. */
  memoryRefresh(): void;
  malloc(size: number): number;
  mallocn(count: number, size: number): number;
  calloc(count: number, size: number): number;
  zalloc(size: number): number;
  realloc(p: number, size: number): number;
  reallocn(p: number, count: number, size: number): number;
  reallocarray(p: number, count: number, size: number): number;
  reallocf(p: number, size: number): number;
  rezalloc(p: number, size: number): number;
  recalloc(p: number, count: number, size: number): number;
  expand(p: number, size: number): number;
  free(p: number): void;
  freeChecked(p: number): number;
  pointerCheck(p: number): number;
  usableSize(p: number): number;
  malloc_usable_size(p: number): number;
  contains(p: number): boolean | number;
  goodSize(size: number): number;
  memalign(alignment: number, size: number): number;
  aligned_alloc(alignment: number, size: number): number;
  memalignAt(alignment: number, size: number, offset: number): number;
  posix_memalign(out: number, alignment: number, size: number): number;
  reallocAligned(p: number, size: number, alignment: number): number;
  reallocAlignedAt(p: number, size: number, alignment: number, offset: number): number;
  zallocAlignedAt(size: number, alignment: number, offset: number): number;
  rezallocAlignedAt(p: number, size: number, alignment: number, offset: number): number;
  reallocarr(at: number, count: number, size: number): number;
  freeSize(p: number, size: number): void;
  freeSizeAligned(p: number, size: number, alignment: number): void;
  operatorNew(size: number): number;
  operatorNewAligned(size: number, alignment: number): number;
  strdup(p: number): number;
  strndup(p: number, max: number): number;
}

/** Exports of the shared build only. Thread ids are numbers from 1 on. */
export interface SharedCoreExports extends CoreExports {
  /** Returns an id for a thread that will attach; 0 = all ids are used. */
  threadIdDraw(): number;
  /** Binds this instance to the state at `base`; returns the thread's id, or 0. */
  threadAttach(base: number, thread: number): number;
  threadBound(): number;
  threadCount(): number;
  /** Returns the id of this thread's heap, which is in the descriptors of its pages. */
  threadHeap(): number;
  threadDetach(): void;
  threadRecover(thread: number): boolean | number;
  /** Takes the blocks that other threads have freed in this heap's pages. */
  remoteTakeAll(): void;
  /** Takes every abandoned page into this heap. */
  abandonedAdoptAll(): void;
  /** Binds the views again. JavaScript only, before each call, after another thread's growth. */
  stateReach(): void;
}

/** Exports of the hardened builds only. */
export interface HardCoreExports extends CoreExports {
  /** Turns features on (bits HARD_*), before the first block. `guard`: bytes of a guard page. */
  hardeningBegin(bits: number, guard: number): void;
  /** Returns the block that the link in a free block of a page points to. */
  linkLoad(page: number, block: number): number;
  /** Whether the bound heap found no source of randomness, so that its keys could be guessed. */
  randomIsWeak(): boolean | number;
  /** Asks the host for a new key, if the heap is weak. */
  randomRenew(): void;
}

/** Serves a sample of a heap's allocations. */
export interface HeapGuards {
  /** Offers one allocation in so many on average, read again after each offer; 1 to 2^30. */
  readonly every: number;
  /** Equal seeds give offers at the same allocations. */
  readonly seed: number;
  /**
   * Bytes of memory for the blocks, a multiple of 4. Pages of it may be inaccessible until
   * `destroy`.
   */
  readonly bytes: number;
  /** Highest number of blocks at a time. */
  readonly count: number;
  /** Returns a block in that memory, or 0: then the heap serves the allocation itself. */
  take(size: number, alignment: number): number;
  /** The program frees ptr, which lies in that memory. */
  freed(ptr: number): void;
  /** The program resizes ptr, which is not in a live block. */
  misused(ptr: number): void;
  /** Returns the bytes from ptr to the end of its block; 0 = ptr is not in a block. */
  sizeAt(ptr: number): number;
}

/** The memory of the guarded blocks. */
export interface GuardsMemory {
  /** First byte of that memory, a multiple of 64 KiB. */
  readonly address: number;
  /** The table that shows the blocks to other threads: layout-counts.ts draws it. */
  readonly table: number;
  /** Ends the offers and returns the memory to the heap. All of it must be accessible. */
  destroy(): void;
}
