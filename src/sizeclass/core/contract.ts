/**
 * What an instance of the allocator offers, in whichever build. Numbers from WebAssembly may be
 * negative: `>>> 0` mends them. Addresses of the sparse build go up to 2^53.
 */
export interface SizeClassCore {
  addressesBind(space: number, control: number, large: number): void;
  sizesBind(region: number, array: number, meta: number, granule: number, page: number): void;
  countsBind(regions: number, threadSlots: number, cacheShift: number, largePages: number): void;
  /** Last of all; not called where each class has one region. */
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
  /** Frees a block; answers a PTR_ of layout.ts. */
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
  /** Where a class counts its compacts from, and where its free array is. */
  baseOf(cls: number): number;
  arrayAt(cls: number): number;
  /** Address of the last large mapping that begins at p's page or before, or 0. */
  largeBefore(p: number): number;
  largeMark(page: number, count: number, taken: boolean): void;
  metaOf(p: number): number;
  cacheDrain(slot: number): void;
  releaseNow(cls: number): void;
  /** These four need the region's lock. */
  chunksTake(cls: number, n: number): number;
  chunksRoom(cls: number, n: number): boolean | number;
  chunksGive(cls: number, n: number): void;
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
 * Memory at addresses. Ranges are whole pages of 4 KiB. What is mapped reads as zero until it is
 * written, and again after a release. No call but the loads and stores throws.
 */
export interface AddressSpace {
  readonly kind: string;
  /** Where a space that may be anywhere begins; a multiple of its size, at best. */
  readonly begin: number;
  /** Makes a range usable; pages that are mapped already stay as they are. False: no memory. */
  map(address: number, bytes: number): boolean;
  unmap(address: number, bytes: number): void;
  /** Gives physical memory back; the range stays mapped. */
  release(address: number, bytes: number): void;
  load32(address: number): number;
  store32(address: number, value: number): void;
  copy(to: number, from: number, bytes: number): void;
  fill(address: number, bytes: number, value: number): void;
  /** Bytes from `begin` on that can be mapped. Default: all up to 2^53. */
  readonly bytes?: number;
  /** The least that can be mapped and given back. Default: 4096. */
  readonly pageBytes?: number;
  /** Bytes of a range that are in physical memory, where that can be known. */
  resident?(address: number, bytes: number): number;
  /** Ends the space: nothing is mapped any more. */
  end?(): void;
}

/** Where everything lies: what another thread needs to know. All can be cloned. */
export interface Geometry {
  readonly space: number;
  readonly control: number;
  readonly large: number;
  readonly spaceSize: number;
  readonly controlBytes: number;
  readonly regionLog: number;
  readonly arrayLog: number;
  readonly metadataSize: number;
  readonly granule: number;
  readonly pageSize: number;
  readonly threadSlots: number;
  readonly cacheShift: number;
  readonly largePages: number;
  /** Regions that may be had on demand; 0 = they are reserved. */
  readonly mapRegions: number;
  readonly shuffle: boolean;
  readonly seedsByAddress: boolean;
  readonly keepsLast: boolean;
  readonly map: SizeClassMapOptions;
}

/** Logarithms of bytes, but for `bits` and `cachedHint`. */
export interface SizeClassMapOptions {
  /** 2^(bits - 1) classes a doubling, above 2^midLog. */
  bits: number;
  /** The smallest chunk, and the step up to 2^midLog; at least 4: 16 bytes. */
  minLog: number;
  midLog: number;
  /** The largest chunk. */
  maxLog: number;
  /** The most chunks that a cache takes at a time, up to 128, and about how many bytes. */
  cachedHint: number;
  bytesCachedLog: number;
}
