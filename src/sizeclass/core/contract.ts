/**
 * What an instance of the allocator exports, in every build. Numbers from WebAssembly may be
 * negative: `>>> 0` makes them unsigned. Addresses of the build for address spaces go up to 2^53.
 */
export interface SizeClassCore {
  addressesBind(space: number, control: number, large: number): void;
  sizesBind(region: number, array: number, meta: number, granule: number, page: number): void;
  countsBind(regions: number, threadSlots: number, cacheShift: number, largePages: number): void;
  /** The last of the binds; only for regions on demand. */
  mapBind(regions: number): void;
  behaviourBind(shuffle: boolean, seedsByAddress: boolean, keepsLast: boolean): void;
  classesBind(bits: number, min: number, mid: number, max: number): void;
  spaceInit(hint: number, cachedLog: number, seed: number, interval: number): void;
  slotBind(threadId: number, slot: number): void;
  threadIdDraw(): number;
  slotTake(threadId: number): boolean | number;
  slotFree(threadId: number): void;
  threadRecover(threadId: number): boolean | number;
  memoryRefresh(): void;
  malloc(size: number): number;
  zalloc(size: number): number;
  calloc(count: number, size: number): number;
  memalign(alignment: number, size: number): number;
  realloc(p: number, size: number): number;
  free(p: number): void;
  /** Frees a block; returns a PTR_ of layout.ts. */
  freeChecked(p: number): number;
  pointerCheck(p: number): number;
  usableSize(p: number): number;
  goodSize(size: number): number;
  blockBegin(p: number): number;
  classAt(p: number): number;
  classId(size: number): number;
  classSize(cls: number): number;
  /** Number of the next region of a class from a number on; -1 = none. */
  regionNext(cls: number, from: number): number;
  /** The address that the compacts of a class count from. */
  baseOf(cls: number): number;
  /** Address of the free array of a class. */
  arrayAt(cls: number): number;
  /** Address of the last large mapping that begins at p's page or before, or 0. */
  largeBefore(p: number): number;
  largeMark(page: number, count: number, taken: boolean): void;
  metaOf(p: number): number;
  cacheDrain(slot: number): void;
  releaseNow(cls: number): void;
  /** These four need the lock of the class. */
  chunksTake(cls: number, n: number): number;
  chunksReserve(cls: number, n: number): boolean | number;
  chunksReturn(cls: number, n: number): void;
  releaseMaybe(cls: number): number;
  regionLock(cls: number): boolean | number;
  regionUnlock(cls: number): void;
  locksAcquire(): boolean | number;
  locksRelease(): void;
  regionWord(cls: number, offset: number): number;
  controlWord(offset: number): number;
  intervalSet(interval: number): void;
  spaceIsValid(): boolean | number;
}

/**
 * Memory at addresses up to 2^53, for the option `space`. Addresses and sizes are in bytes; ranges
 * are whole pages. A mapped range reads as zero until it is written, and again after a release.
 * Only the loads, the stores, `copy` and `fill` may throw.
 */
export interface AddressSpace {
  /** For error texts: what kind of memory it is. */
  readonly kind: string;
  /** The lowest address: a multiple of `pageBytes`, best of the size of all regions. */
  readonly begin: number;
  /**
   * Makes a range usable; pages that are mapped already keep their contents. Returns false where
   * there is no memory for it: then nothing has changed.
   */
  map(address: number, bytes: number): boolean;
  /** Ends the use of a range, which may be mapped again. */
  unmap(address: number, bytes: number): void;
  /** Returns the physical memory of a range to the system; the range stays mapped. */
  release(address: number, bytes: number): void;
  /** Reads the unsigned word at an address that is a multiple of 4. */
  load32(address: number): number;
  /** Writes an unsigned word at an address that is a multiple of 4. */
  store32(address: number, value: number): void;
  /** Copies bytes between two ranges, which may overlap. */
  copy(to: number, from: number, bytes: number): void;
  /** Writes the byte `value` over a range. */
  fill(address: number, bytes: number, value: number): void;
  /** Bytes from `begin` on that can be mapped. Default: 2^52. */
  readonly bytes?: number;
  /** Bytes of a page: the least that can be mapped and released. Default: 4096. */
  readonly pageBytes?: number;
  /** Bytes of a range that are in physical memory. Absent where that is not known. */
  resident?(address: number, bytes: number): number;
  /** Ends the space: nothing is mapped afterwards. Called when the allocator is destroyed. */
  destroy?(): void;
}

/**
 * Where everything is in the memory of an allocator, and its fixed options: what another thread
 * needs to know. All of it can be cloned. Addresses and sizes are in bytes.
 */
export interface Geometry {
  /** Address of the regions. */
  readonly space: number;
  /** Address of the control area: words, caches and bitmaps. */
  readonly control: number;
  /** Address of the large blocks; on demand of the regions too. */
  readonly large: number;
  /** Size of all regions; on demand from `space` to the end. */
  readonly spaceSize: number;
  /** Size of the control area. */
  readonly controlBytes: number;
  /** Base-2 logarithm of the size of a region. */
  readonly regionLog: number;
  /** Reserved: base-2 logarithm of `freeArray`. */
  readonly arrayLog: number;
  /** Size of the metadata of a chunk. */
  readonly metadataSize: number;
  /** Reserved: size that is mapped at a time. */
  readonly granule: number;
  /** Size of a page. */
  readonly pageSize: number;
  /** How many threads may be attached at a time. */
  readonly threadSlots: number;
  /** Base-2 logarithm of the size of a class's stack in a cache. */
  readonly cacheShift: number;
  /** Pages that large blocks may be in. */
  readonly largePages: number;
  /** Regions that may be had on demand; 0 = regions are reserved. */
  readonly mapRegions: number;
  /** Whether new chunks come in a random order. */
  readonly shuffle: boolean;
  /** Whether the seed of that order is made from the address of the region. */
  readonly seedsByAddress: boolean;
  /** Whether releases omit the last range of free chunks. */
  readonly keepsLast: boolean;
  /** The size classes. */
  readonly map: SizeClassMapOptions;
}

/**
 * The numbers that make a size-class map. Those with names in Log are base-2 logarithms of bytes.
 *
 * @example
 * createSizeClassMap({ ...sizeClassMaps.default, maxLog: 16 });
 */
export interface SizeClassMapOptions {
  /** There are 2^(bits - 1) classes a doubling above 2^midLog; from 1 to 6. */
  bits: number;
  /** The smallest chunk, and the step between classes up to 2^midLog; from 4 to 16. */
  minLog: number;
  /** Where steps end and doublings begin; from minLog + bits - 1 to 24. */
  midLog: number;
  /** The largest chunk; from midLog + 1 to 28. */
  maxLog: number;
  /** The most chunks that a cache takes at a time; from 1 to 128. */
  cachedHint: number;
  /** About how many bytes a cache takes at a time; from 4 to 30. */
  bytesCachedLog: number;
}
