/** The chunks of all classes, below caches and large blocks: LLVM's SizeClassAllocator64. */

import { checkSize, pointerError } from "../../common/checks.ts";
import type { Geometry, SizeClassCore } from "../core/contract.ts";
import * as L from "../core/layout.ts";
import type { SizeClassMap } from "../spaces/maps.ts";
import { arrayFull, classError, freedTwice, locked, regionFull } from "./errors.ts";
import { intervalCheck } from "./options.ts";

/** Words of linear memory or of an address space. */
export interface Words {
  load32(address: number): number;
  store32(address: number, value: number): void;
}

/** Statistics of a class. */
export interface RegionStats {
  /** Number of the class, from 1 on. */
  readonly id: number;
  /** Bytes of a chunk. */
  readonly size: number;
  /** Bytes that are mapped for chunks. */
  readonly mappedBytes: number;
  /** Bytes that are mapped for metadata. */
  readonly metadataBytes: number;
  /** Bytes that are mapped for the free array. */
  readonly arrayBytes: number;
  /** Chunks that caches took from the class, modulo 2^32. */
  readonly allocations: number;
  /** Chunks that caches returned to the class, modulo 2^32. */
  readonly frees: number;
  /** Chunks on the free array; those in caches count as taken. */
  readonly freeChunks: number;
  /** Chunks that were made, live or free. */
  readonly chunks: number;
  /** Ranges of free chunks that were released to the system. */
  readonly releases: number;
  /** Bytes of the whole pages in those ranges, modulo 2^32 pages. */
  readonly releasedBytes: number;
}

export interface PrimaryParts {
  readonly core: SizeClassCore;
  readonly map: SizeClassMap;
  readonly geometry: Geometry;
  readonly words: Words;
  /** Bytes of a mapping that are in physical memory; undefined where that is not known. */
  readonly resident: ((address: number, bytes: number) => number) | undefined;
}

/** The counters wrap at 2^32; their difference does not. */
function inUse({ allocations, frees }: RegionStats): number {
  return (allocations - frees) >>> 0;
}

/**
 * Chunks of size classes, taken and returned in batches. Chunks in caches count as taken. Addresses
 * are those of the allocator.
 */
export class Primary {
  /** The sizes of all classes. */
  readonly map: SizeClassMap;
  /** Bytes of a region: a power of two. */
  readonly regionBytes: number;
  /** Address of the first region. */
  readonly spaceBegin: number;
  /** Bytes of all regions; on demand of all addresses that regions and large blocks may have. */
  readonly spaceSize: number;
  /** Whether a class takes regions as it needs them; else it has exactly one. */
  readonly onDemand: boolean;
  #parts: PrimaryParts;

  /** Use createSizeClassHeap. */
  constructor(parts: PrimaryParts) {
    this.#parts = parts;
    this.map = parts.map;
    this.regionBytes = 2 ** parts.geometry.regionLog;
    this.spaceBegin = parts.geometry.space;
    this.spaceSize = parts.geometry.spaceSize;
    this.onDemand = parts.geometry.mapRegions > 0;
  }

  /** @internal The allocator was destroyed: `core` throws in each call. */
  coreReplace(core: SizeClassCore): void {
    this.#parts = { ...this.#parts, core };
  }

  /**
   * Address of the region of a class, of its lowest one on demand; 0 if it has none yet.
   *
   * @throws RangeError unless id is the number of a class.
   */
  regionBegin(id: number): number {
    if (!this.onDemand) {
      this.#check(id);
      return this.spaceBegin + id * this.regionBytes;
    }
    return this.regionsOf(id)[0] ?? 0;
  }

  /**
   * Addresses of the regions of a class, ascending.
   *
   * @throws RangeError unless id is the number of a class.
   */
  regionsOf(id: number): number[] {
    this.#check(id);
    const { core } = this.#parts;
    const begins: number[] = [];
    for (let at = core.regionNext(id, 0) >>> 0; at !== L.NONE; ) {
      begins.push(this.spaceBegin + at * this.regionBytes);
      at = core.regionNext(id, at + 1) >>> 0;
    }
    return begins;
  }

  /**
   * Takes n chunks of a class. Returns their addresses, in the order of the free array.
   *
   * @throws SizeClassError ERR_CLASS_FULL when there are fewer than n: then none is taken, and in
   * reserved regions nothing was mapped; ERR_LOCKED when another thread keeps the lock of the
   * class.
   */
  getFrom(id: number, n: number): number[] {
    this.#check(id);
    checkSize(n, "n");
    const { core } = this.#parts;
    return this.#locked(id, "getFrom", () => {
      const first = core.chunksTake(id, n) >>> 0;
      if (first === L.NONE) throw regionFull(this.#parts.geometry, this.map.size(id));
      return Array.from({ length: n }, (_, i) => this.#entry(id, first + i));
    });
  }

  /**
   * Returns chunks to their class; may release pages to the system.
   *
   * @throws HeapError when one of them is not a chunk of that class: then none is returned.
   * @throws SizeClassError ERR_FREE_ARRAY_FULL for more chunks than the class has; ERR_DOUBLE_FREE
   * when a release finds a chunk twice: it is free once then, and everything else is done;
   * ERR_LOCKED when another thread keeps the lock of the class.
   */
  returnTo(id: number, chunks: readonly number[]): void {
    this.#check(id);
    const { core } = this.#parts;
    for (const p of chunks) this.#checkChunk(id, p);
    const size = this.map.size(id);
    const twice = this.#locked(id, "returnTo", () => {
      if (!core.chunksReserve(id, chunks.length)) throw arrayFull(size);
      const first = this.#word(id, L.R_FREED);
      chunks.forEach((p, i) => {
        this.#parts.words.store32(this.#array(id) + 4 * (first + i), this.#compact(id, p));
      });
      core.chunksReturn(id, chunks.length);
      return core.releaseMaybe(id) >>> 0;
    });
    if (twice !== L.NONE) throw freedTwice(this.#base(id) + twice * 16, size);
  }

  /** Whether blocks of a size and an alignment, both in bytes, come from a class. */
  canAllocate(size: number, alignment = 16): boolean {
    return size <= this.map.sizeLast && alignment <= this.map.sizeLast;
  }

  /** Whether an address is in a region, mapped or not. */
  pointerIsMine(p: number): boolean {
    if (this.onDemand) return this.#parts.core.classAt(p) !== 0;
    return p >= this.spaceBegin && p < this.spaceBegin + this.spaceSize;
  }

  /** The class of the region that contains an address; 0 if none does. */
  classOf(p: number): number {
    return this.pointerIsMine(p) ? this.#parts.core.classAt(p) : 0;
  }

  /**
   * Start of the chunk, live or free, that contains an address; 0 for all other addresses: the gap,
   * metadata, the free array, the unused region 0.
   */
  blockBegin(p: number): number {
    return this.classOf(p) === 0 ? 0 : this.#address(this.#parts.core.blockBegin(p));
  }

  /** Bytes of the chunks of the region that contains an address; 0 if none does. */
  sizeOf(p: number): number {
    return this.map.size(this.classOf(p));
  }

  /** Address of the metadata of a chunk; 0 if it has none. It stays when the chunk is freed. */
  metadata(p: number): number {
    return this.classOf(p) === 0 ? 0 : this.#address(this.#parts.core.metaOf(p));
  }

  /** Bytes of all chunks that were made, live or free. Only the release of a region lowers it. */
  get totalMemoryUsed(): number {
    return this.#sum((id) => this.#word(id, L.R_ALLOCATED) * 16);
  }

  /**
   * Milliseconds between two releases of a class, for all threads; negative: frees release nothing.
   *
   * @throws TypeError or RangeError unless it is set to a whole number from -2^31 to 2^31.
   */
  get releaseInterval(): number {
    const interval = this.#parts.core.controlWord(L.C_INTERVAL) >>> 0;
    return interval === L.NEVER ? -1 : interval;
  }
  set releaseInterval(interval: number) {
    intervalCheck(interval);
    this.#parts.core.intervalSet(interval < 0 ? L.NEVER : interval);
  }

  /**
   * Releases every whole page of free chunks of all classes now.
   *
   * @throws SizeClassError ERR_DOUBLE_FREE when it finds that a chunk was freed twice.
   */
  releaseAll(): void {
    for (let id = 1; id < this.map.classes; id++) this.#parts.core.releaseNow(id);
  }

  /** releaseAll for the classes of which chunks were freed since their last release. */
  releaseFreed(): void {
    for (let id = 1; id < this.map.classes; id++) {
      if (this.#word(id, L.R_FREES) !== this.#word(id, L.R_FREES_AT)) {
        this.#parts.core.releaseNow(id);
      }
    }
  }

  /** Calls `visit` with each chunk that was made, live or free. Takes no lock. */
  forEachChunk(visit: (chunk: number, size: number) => void): void {
    for (let id = 1; id < this.map.classes; id++) {
      const size = this.map.size(id);
      const reach = this.#word(id, L.R_REACH) * 16;
      for (const begin of this.regionsOf(id)) {
        for (let p = begin; p < begin + reach; p += size) visit(p, size);
      }
    }
  }

  /**
   * Acquires the locks of all classes and of the large blocks, always in the same order. Until
   * `forceUnlock` only caches serve. Returns false, with no lock held, if another thread kept one
   * for too long.
   */
  forceLock(): boolean {
    return Boolean(this.#parts.core.locksAcquire());
  }

  /** Releases the locks that this thread holds. */
  forceUnlock(): void {
    this.#parts.core.locksRelease();
  }

  /** Statistics of the classes that have memory, or had some before a release. Takes no lock. */
  stats(): RegionStats[] {
    const all = Array.from({ length: this.map.classes - 1 }, (_, i) => this.#stats(i + 1));
    return all.filter((one) => one.mappedBytes > 0 || one.releases > 0);
  }

  /** `stats` as text, in LLVM's format. */
  printStats(): string {
    const all = this.stats();
    const sum = (of: (one: RegionStats) => number) =>
      all.reduce((total, one) => total + of(one), 0);
    const mapped = Math.floor(sum((one) => one.mappedBytes) / 2 ** 20);
    const allocations = sum((one) => one.allocations);
    const name = `SizeClassAllocator${this.onDemand ? 32 : 64}`;
    const remains = sum(inUse);
    const head = `Stats: ${name}: ${mapped}M mapped in ${allocations} allocations; `;
    const lines = all.filter((one) => one.mappedBytes > 0).map((one) => this.#line(one));
    return `${head}remains ${remains}\n${lines.join("")}`;
  }

  /** Whether all counters and lists agree. Correct only while no other thread works. */
  isValid(): boolean {
    return Boolean(this.#parts.core.spaceIsValid());
  }

  #line(one: RegionStats): string {
    const { id, size, mappedBytes, allocations, frees, freeChunks, chunks, releases } = one;
    const rss = Math.floor(this.#resident(one) / 1024);
    return (
      `  ${String(id).padStart(2, "0")} (${size}): mapped: ${mappedBytes / 1024}K` +
      ` allocs: ${allocations} frees: ${frees} inuse: ${inUse(one)}` +
      ` num_freed_chunks ${freeChunks} avail: ${chunks} rss: ${rss}K releases: ${releases}\n`
    );
  }

  /** Where it is not known what is in physical memory: all that is mapped. */
  #resident(one: RegionStats): number {
    const { resident } = this.#parts;
    if (!resident) return one.mappedBytes;
    if (!this.onDemand) return resident(this.regionBegin(one.id), one.mappedBytes);
    const each = this.regionBytes;
    return this.regionsOf(one.id).reduce((sum, begin) => sum + resident(begin, each), 0);
  }

  #stats(id: number): RegionStats {
    const size = this.map.size(id);
    return {
      id,
      size,
      mappedBytes: this.#word(id, L.R_MAPPED_USER) * 16,
      metadataBytes: this.#word(id, L.R_MAPPED_META) * 16,
      arrayBytes: this.#word(id, L.R_MAPPED_ARRAY),
      allocations: this.#word(id, L.R_ALLOCS),
      frees: this.#word(id, L.R_FREES),
      freeChunks: this.#word(id, L.R_FREED),
      chunks: (this.#word(id, L.R_ALLOCATED) * 16) / size,
      releases: this.#word(id, L.R_RELEASES),
      releasedBytes: this.#word(id, L.R_PAGES) * this.#parts.geometry.pageSize,
    };
  }

  #sum(of: (id: number) => number): number {
    let sum = 0;
    for (let id = 1; id < this.map.classes; id++) sum += of(id);
    return sum;
  }

  #check(id: number): void {
    if (Number.isInteger(id) && id > 0 && id < this.map.classes) return;
    throw classError(id, this.map.classes);
  }

  #checkChunk(id: number, p: number): void {
    const found = this.classOf(p) === id ? this.#parts.core.pointerCheck(p) : L.PTR_FOREIGN;
    if (found !== L.PTR_GOOD) throw pointerError("returnTo", found, p);
  }

  #locked<T>(id: number, call: string, work: () => T): T {
    const { core } = this.#parts;
    if (!core.regionLock(id)) throw locked(call);
    try {
      return work();
    } finally {
      core.regionUnlock(id);
    }
  }

  #word(id: number, offset: number): number {
    return this.#parts.core.regionWord(id, offset) >>> 0;
  }

  /** Address of the free array. */
  #array(id: number): number {
    return this.#address(this.#parts.core.arrayAt(id));
  }

  /** The address that the compacts of a class count from. */
  #base(id: number): number {
    return this.#address(this.#parts.core.baseOf(id));
  }

  #entry(id: number, index: number): number {
    return this.#base(id) + this.#parts.words.load32(this.#array(id) + 4 * index) * 16;
  }

  #compact(id: number, p: number): number {
    return (p - this.#base(id)) / 16;
  }

  /** Addresses from WebAssembly are negative from 2^31 on; those of a space may exceed 2^32. */
  #address(p: number): number {
    return p < 0 ? p >>> 0 : p;
  }
}
