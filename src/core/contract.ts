/**
 * What an instance of the core offers, in whichever back end. Sizes and pointers are u32; from
 * WebAssembly pointers above 2 GiB arrive as negative numbers, which `>>> 0` mends.
 */
export interface CoreExports {
  /** flags: INIT_* of layout.ts; true is INIT_ZEROED. */
  heapInit(base: number, flags: number): void;
  heapAttach(base: number): void;
  heapCollect(force?: boolean | number): void;
  /** Works on another heap of this thread from now on; answers the one before. */
  heapBind(heap: number): number;
  heapBound(): number;
  heapBacking(): number;
  /** Id of a new heap of this thread; 0 = out of memory, or all areas are taken. */
  heapNew(): number;
  /** Ends a heap that heapNew made; its pages go to the backing heap. */
  heapDelete(heap: number): void;
  /** Ends a heap that heapNew made, with all its blocks. */
  heapDestroy(heap: number): void;
  /** Delays in ticks, 0xffffffff = never; `how`: PAGES_* of layout.ts. */
  purgeSet(delay: number, extend: number, mult: number, how: number): void;
  /** Lets a tick go by and purges what is due; with `force` all that is free. */
  purge(force: boolean | number): void;
  /** Id of an arena of free or new slices, or 0; flags: ARENA_* of layout.ts. */
  arenaMake(count: number, flags: number, node: number): number;
  /** Id of an arena of slices that are nobody's, or 0. */
  arenaGive(first: number, count: number, flags: number, node: number): number;
  /** Gives a new heap a budget in slices and an arena; false: there is no such arena. */
  heapLimit(heap: number, most: number, arena: number): boolean | number;
  /** The NUMA node that this thread runs on. */
  numaBind(node: number): void;
  /** Whether the host is called with DEFERRED_FREE now and then. */
  deferredFree(wanted: boolean | number): void;
  /** Id of the heap in whose blocks p lies, or 0. */
  heapOf(p: number): number;
  /**
   * Tells of the mallocs and frees of this thread from now on: bits OBSERVE_*. The caller makes the
   * direct tables fit: see src/heap/stats/observers.ts.
   */
  observeBind(what: number): void;
  /** The next malloc is told of when so many bytes have been asked for. */
  observeSkip(bytes: number): void;
  /** Bytes that were left of these at the malloc that is told of. */
  observeLeft(): number;
  /** Bytes that the malloc which is told of was asked for, or a resized block had before. */
  observeSize(): number;
  /** Draws the first sample, of one allocation in `every`; observeBind begins to count. */
  sampleBegin(every: number, seed: number): void;
  /** Alignment of the allocation that SAMPLE_DUE asks about. */
  sampleAlignment(): number;
  /** The answer to SAMPLE_DUE and GUARD_SIZE. */
  sampleResult(value: number): void;
  /** Only of use in JavaScript, after somebody else grew a memory that detaches. */
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

/** What the shared build offers besides. Tickets are numbers of threads, from 1 on. */
export interface SharedCoreExports extends CoreExports {
  /** A number for a thread that is to come; 0 = there are none left. */
  threadIdDraw(): number;
  /** Binds this instance to the state at `base`; answers the thread, or 0. */
  threadAttach(base: number, thread: number): number;
  threadBound(): number;
  threadCount(): number;
  /** The id of this thread's heap, which stands in the descriptors of its pages. */
  threadHeap(): number;
  threadDetach(): void;
  threadRecover(thread: number): boolean | number;
  /** Takes what other threads have freed in this heap's pages. */
  remoteTakeAll(): void;
  /** Takes every abandoned page into this heap. */
  abandonedAdoptAll(): void;
  /** Only of use in JavaScript, before each call, after another thread grew the memory. */
  stateReach(): void;
}

/** What a hardened build offers besides. */
export interface HardCoreExports extends CoreExports {
  /** Turns features on (bits HARD_*), before the first block. `guard`: bytes of a guard page. */
  hardeningBegin(bits: number, guard: number): void;
  /** The free block that a free block of a page leads to. */
  linkLoad(page: number, block: number): number;
  /** Whether the bound heap has found no randomness, and its keys could be guessed. */
  randomIsWeak(): boolean | number;
  /** Asks the host for a new key, if the heap is weak. */
  randomRenew(): void;
}

/** Who serves a sample of a heap's allocations. */
export interface HeapGuards {
  /** One allocation in so many is offered, on average; asked again after each. 1 to 2^30. */
  readonly every: number;
  /** Makes the same offers to the same allocations. */
  readonly seed: number;
  /** Room for the blocks, a multiple of 4; pages of it may be inaccessible until `destroy`. */
  readonly bytes: number;
  /** The most blocks at a time. */
  readonly count: number;
  /** A block in that room, or 0: then the heap serves the allocation itself. */
  take(size: number, alignment: number): number;
  /** A block at ptr is freed, or what somebody took for one. */
  freed(ptr: number): void;
  /** Somebody resizes ptr, which is in no live block. */
  misused(ptr: number): void;
  /** Bytes from ptr to the end of its block, 0 = it is in none. */
  sizeAt(ptr: number): number;
}

/** Where the blocks are. */
export interface GuardsMemory {
  /** Of the room, a multiple of 64 KiB. */
  readonly address: number;
  /** The table that tells other threads of the blocks: layout-counts.ts draws it. */
  readonly table: number;
  /** No more offers; the room goes back to the heap, all of it accessible. */
  destroy(): void;
}
