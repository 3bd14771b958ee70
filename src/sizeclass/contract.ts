/**
 * What an instance of the allocator offers, in whichever build. Numbers from WebAssembly may be
 * negative: `>>> 0` mends them. Addresses of the sparse build go up to 2^53.
 */
export interface SizeClassCore {
  placesBind(space: number, control: number, large: number): void;
  unitsBind(region: number, array: number, meta: number, granule: number, page: number): void;
  manyBind(regions: number, seats: number, cacheShift: number, largePages: number): void;
  /** Last of all; not called where each class has one region. */
  mapBind(regions: number): void;
  waysBind(shuffle: boolean, seedsByPlace: boolean, keepsLast: boolean): void;
  classesBind(bits: number, min: number, mid: number, max: number): void;
  spaceInit(hint: number, cachedLog: number, seed: number, interval: number): void;
  seatBind(ticket: number, seat: number): void;
  ticketDraw(): number;
  seatTake(ticket: number): boolean | number;
  seatLeave(ticket: number): void;
  threadRecover(ticket: number): boolean | number;
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
  cacheDrain(seat: number): void;
  releaseNow(cls: number): void;
  /** These four need the region's lock. */
  chunksTake(cls: number, n: number): number;
  chunksRoom(cls: number, n: number): boolean | number;
  chunksGive(cls: number, n: number): void;
  releaseMaybe(cls: number): number;
  regionLock(cls: number): boolean | number;
  regionUnlock(cls: number): void;
  locksTake(): boolean | number;
  locksLeaveAll(): void;
  regionWord(cls: number, offset: number): number;
  controlWord(offset: number): number;
  intervalSet(interval: number): void;
  spaceIsValid(): boolean | number;
}
