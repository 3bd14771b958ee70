/** The regions themselves, below caches and large blocks: LLVM's SizeClassAllocator64. */

import { checkSize, pointerError } from "../../common/checks.ts";
import type { Geometry, SizeClassCore } from "../core/contract.ts";
import {
  C_INTERVAL,
  NEVER,
  NONE,
  PTR_FOREIGN,
  PTR_GOOD,
  R_ALLOCATED,
  R_ALLOCS,
  R_FREED,
  R_FREES,
  R_FREES_AT,
  R_MAPPED_ARRAY,
  R_MAPPED_META,
  R_MAPPED_USER,
  R_PAGES,
  R_REACH,
  R_RELEASES,
} from "../core/layout.ts";
import type { SizeClassMap } from "../spaces/maps.ts";
import { arrayFull, classError, freedTwice, locked, regionFull } from "./errors.ts";
import { intervalCheck } from "./options.ts";

/** Words of memory, wherever they lie. */
export interface Words {
  load32(address: number): number;
  store32(address: number, value: number): void;
}

/** Figures of a class, in chunks unless they say bytes. */
export interface RegionStats {
  readonly id: number;
  /** Bytes of a chunk. */
  readonly size: number;
  readonly mappedBytes: number;
  readonly metadataBytes: number;
  readonly arrayBytes: number;
  /** Taken from the region, and given back to it, by caches: modulo 2^32. */
  readonly allocations: number;
  readonly frees: number;
  readonly freeChunks: number;
  readonly chunks: number;
  /** Ranges that were released, and bytes of the whole pages in them. */
  readonly releases: number;
  readonly releasedBytes: number;
}

export interface PrimaryParts {
  readonly core: SizeClassCore;
  readonly map: SizeClassMap;
  readonly geometry: Geometry;
  readonly words: Words;
  /** Bytes of a mapping that are in physical memory, where that can be known. */
  readonly resident: ((address: number, bytes: number) => number) | undefined;
}

/** The counts go round after 2^32; their difference does not. */
function inUse({ allocations, frees }: RegionStats): number {
  return (allocations - frees) >>> 0;
}

/**
 * Chunks of size classes, taken and given back in batches. The chunks that caches hold count as
 * taken. Addresses are those of the allocator.
 */
export class Primary {
  readonly map: SizeClassMap;
  /** Bytes of a region, and where the first one begins. */
  readonly regionBytes: number;
  readonly spaceBegin: number;
  readonly spaceSize: number;
  /** Whether a class may have several regions, had when they are needed. */
  readonly onDemand: boolean;
  #parts: PrimaryParts;

  /** Use sizeClass. */
  constructor(parts: PrimaryParts) {
    this.#parts = parts;
    this.map = parts.map;
    this.regionBytes = 2 ** parts.geometry.regionLog;
    this.spaceBegin = parts.geometry.space;
    this.spaceSize = parts.geometry.spaceSize;
    this.onDemand = parts.geometry.mapRegions > 0;
  }

  /** For the allocator itself: from now on a core that only throws answers. */
  end(core: SizeClassCore): void {
    this.#parts = { ...this.#parts, core };
  }

  /** Where a class has its region, or the lowest one of several; 0 = none yet. */
  regionBegin(id: number): number {
    if (!this.onDemand) {
      this.#check(id);
      return this.spaceBegin + id * this.regionBytes;
    }
    return this.regionsOf(id)[0] ?? 0;
  }

  /** Where the regions of a class begin, ascending. */
  regionsOf(id: number): number[] {
    this.#check(id);
    const { core } = this.#parts;
    const begins: number[] = [];
    for (let at = core.regionNext(id, 0) >>> 0; at !== NONE; ) {
      begins.push(this.spaceBegin + at * this.regionBytes);
      at = core.regionNext(id, at + 1) >>> 0;
    }
    return begins;
  }

  /**
   * Takes n chunks of a class, in the order of its free array.
   *
   * @throws SizeClassError ERR_REGION_FULL when there are not so many; then none are taken, and in
   * reserved regions nothing was mapped.
   */
  getFrom(id: number, n: number): number[] {
    this.#check(id);
    checkSize(n, "n");
    const { core } = this.#parts;
    return this.#locked(id, "getFrom", () => {
      const first = core.chunksTake(id, n) >>> 0;
      if (first === NONE) throw regionFull(this.#parts.geometry, this.map.size(id));
      return Array.from({ length: n }, (_, i) => this.#entry(id, first + i));
    });
  }

  /**
   * Gives chunks of a class back; may release pages to the system.
   *
   * @throws HeapError for what is no chunk of that class.
   * @throws SizeClassError ERR_FREE_ARRAY_FULL for more than the region has; ERR_DOUBLE_FREE when a
   * release finds a chunk twice: it is free once then, and everything else has happened.
   */
  returnTo(id: number, chunks: readonly number[]): void {
    this.#check(id);
    const { core } = this.#parts;
    for (const p of chunks) this.#checkChunk(id, p);
    const size = this.map.size(id);
    const twice = this.#locked(id, "returnTo", () => {
      if (!core.chunksRoom(id, chunks.length)) throw arrayFull(size);
      const first = this.#word(id, R_FREED);
      chunks.forEach((p, i) => {
        this.#parts.words.store32(this.#array(id) + 4 * (first + i), this.#compact(id, p));
      });
      core.chunksGive(id, chunks.length);
      return core.releaseMaybe(id) >>> 0;
    });
    if (twice !== NONE) throw freedTwice(this.#base(id) + twice * 16, size);
  }

  /** Whether a size at an alignment has a class. */
  canAllocate(size: number, alignment = 16): boolean {
    return size <= this.map.sizeLast && alignment <= this.map.sizeLast;
  }

  /** Whether an address lies in a region, mapped or not. */
  pointerIsMine(p: number): boolean {
    if (this.onDemand) return this.#parts.core.classAt(p) !== 0;
    return p >= this.spaceBegin && p < this.spaceBegin + this.spaceSize;
  }

  /** The class of an address's region; 0 for what is in none. */
  classOf(p: number): number {
    return this.pointerIsMine(p) ? this.#parts.core.classAt(p) : 0;
  }

  /**
   * Where the chunk that has an address begins, be it in use or free; 0 for addresses that are
   * mapped for no chunk: the gap, metadata, the free array, class 0.
   */
  blockBegin(p: number): number {
    return this.classOf(p) === 0 ? 0 : this.#address(this.#parts.core.blockBegin(p));
  }

  /** Bytes of the chunk that has an address. */
  sizeOf(p: number): number {
    return this.map.size(this.classOf(p));
  }

  /** Where a chunk's metadata is; 0 if it has none. It outlives the chunk's user. */
  metadata(p: number): number {
    return this.classOf(p) === 0 ? 0 : this.#address(this.#parts.core.metaOf(p));
  }

  /**
   * Bytes of all chunks that were made, in use or free: less than before only after a release that
   * has unmapped a region.
   */
  get totalMemoryUsed(): number {
    return this.#sum((id) => this.#word(id, R_ALLOCATED) * 16);
  }

  /**
   * Milliseconds between two releases of a region; negative: none. For all threads.
   *
   * @throws TypeError or RangeError for what is no number of milliseconds.
   */
  get releaseInterval(): number {
    const interval = this.#parts.core.controlWord(C_INTERVAL) >>> 0;
    return interval === NEVER ? -1 : interval;
  }
  set releaseInterval(interval: number) {
    intervalCheck(interval);
    this.#parts.core.intervalSet(interval < 0 ? NEVER : interval);
  }

  /** Releases every whole page of free chunks of all classes now. */
  releaseAll(): void {
    for (let id = 1; id < this.map.classes; id++) this.#parts.core.releaseNow(id);
  }

  /** releaseAll of the regions in which chunks were freed since their last release. */
  releaseFreed(): void {
    for (let id = 1; id < this.map.classes; id++) {
      if (this.#word(id, R_FREES) !== this.#word(id, R_FREES_AT)) {
        this.#parts.core.releaseNow(id);
      }
    }
  }

  /** Calls `visit` with each chunk that there is, in use or not; takes no lock. */
  forEachChunk(visit: (chunk: number, size: number) => void): void {
    for (let id = 1; id < this.map.classes; id++) {
      const size = this.map.size(id);
      const reach = this.#word(id, R_REACH) * 16;
      for (const begin of this.regionsOf(id)) {
        for (let p = begin; p < begin + reach; p += size) visit(p, size);
      }
    }
  }

  /**
   * Takes the locks of all regions and of the large blocks, in one order. Until `forceUnlock` only
   * caches serve. False: another thread kept one for too long, and none is taken.
   */
  forceLock(): boolean {
    return Boolean(this.#parts.core.locksAcquire());
  }

  /** Leaves the locks that this thread has. */
  forceUnlock(): void {
    this.#parts.core.locksRelease();
  }

  /** Figures of the classes that have anything mapped, or had before a release gave it back. */
  stats(): RegionStats[] {
    const all = Array.from({ length: this.map.classes - 1 }, (_, i) => this.#stats(i + 1));
    return all.filter((one) => one.mappedBytes > 0 || one.releases > 0);
  }

  /** What `stats` says, in the format of LLVM. */
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

  /** Whether every count and every list is as it must be. Of use while no thread works. */
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

  /** Where nobody can say what is in physical memory: all that is mapped. */
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
      mappedBytes: this.#word(id, R_MAPPED_USER) * 16,
      metadataBytes: this.#word(id, R_MAPPED_META) * 16,
      arrayBytes: this.#word(id, R_MAPPED_ARRAY),
      allocations: this.#word(id, R_ALLOCS),
      frees: this.#word(id, R_FREES),
      freeChunks: this.#word(id, R_FREED),
      chunks: (this.#word(id, R_ALLOCATED) * 16) / size,
      releases: this.#word(id, R_RELEASES),
      releasedBytes: this.#word(id, R_PAGES) * this.#parts.geometry.pageSize,
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
    const what = this.classOf(p) === id ? this.#parts.core.pointerCheck(p) : PTR_FOREIGN;
    if (what !== PTR_GOOD) throw pointerError("returnTo", what, p);
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

  /** Where the free array begins. */
  #array(id: number): number {
    return this.#address(this.#parts.core.arrayAt(id));
  }

  /** Where the compacts of a class count from. */
  #base(id: number): number {
    return this.#address(this.#parts.core.baseOf(id));
  }

  #entry(id: number, index: number): number {
    return this.#base(id) + this.#parts.words.load32(this.#array(id) + 4 * index) * 16;
  }

  #compact(id: number, p: number): number {
    return (p - this.#base(id)) / 16;
  }

  /** Addresses from WebAssembly are negative above 2 GiB; those of a space go beyond 2^32. */
  #address(p: number): number {
    return p < 0 ? p >>> 0 : p;
  }
}
