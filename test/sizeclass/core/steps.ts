/**
 * What the explorer of the size-class allocator and its Workers share: the memory, the build that
 * calls the scheduler before each step, and the form of a program.
 */

import type { MemorySource } from "#src/memory/index.js";
import type { Geometry, SizeClassCore } from "#src/sizeclass/core/contract.js";
import {
  ARRAY_FULL,
  C_REGIONS,
  C_SLOTS,
  controlSize,
  DOUBLE_FREE,
  OUT_OF_MEMORY,
  R_ALLOCATED,
  R_FREED,
  R_MAPPED_ARRAY,
  R_REACH,
  R_REGIONS,
  R_UNITS,
  REGION_FULL,
  REGION_SIZE,
  REGIONS,
} from "#src/sizeclass/core/layout.js";
import type { SpaceHost } from "#src/sizeclass/core/space.js";
import type { HardenedFlags } from "#src/sizeclass/hardened/flags.js";
import { HardenedMalloc } from "#src/sizeclass/hardened/malloc.js";
import { geometryOf } from "#src/sizeclass/heap/geometry.js";
import type { SizeClassOptions } from "#src/sizeclass/heap/options.js";
import { Primary, type Words } from "#src/sizeclass/heap/primary.js";
import type { SharedSizeClassHeap } from "#src/sizeclass/heap/shared.js";
import { coreBind, LinearSpace, topWrite } from "#src/sizeclass/spaces/host.js";
import { createSizeClassMap } from "#src/sizeclass/spaces/maps.js";
import type { ProgramOf } from "../../support/schedule.js";

export * from "../../support/schedule.js";

/** The shared build that calls the scheduler before each step. */
export interface SteppedHost extends SpaceHost {
  step(index: number, load: boolean): void;
  plain(index: number, load: boolean): void;
  readonly torn: boolean;
}
type CreateStepped = (host: SteppedHost) => SizeClassCore;
const built = new URL("../../../check/sizeclass-stepped.js", import.meta.url).href;
const createStepped: CreateStepped = (await import(built)).createCore;

const SLICE = 65536;
const PAGE = 4096;
/** The space begins after it, so that null is not a block. */
const BEGIN = SLICE;
/** 32 regions of 32 KiB; an eighth of each is the free array. */
const SPACE = 2 ** 20;
/** Sizes 512 to 4096 by 512, then 4608 to 8192: 16 classes, a page has one chunk or a few. */
const map = { bits: 4, minLog: 9, midLog: 12, maxLog: 13, cachedHint: 2, bytesCachedLog: 16 };
/** After the control area there are as many pages as its bitmaps have bits. */
const LARGE_SLICES = 4;
const LIMIT = BEGIN + SPACE + 2 * SLICE + (LARGE_SLICES + 1) * SLICE;

export const MEMORY_WORDS = LIMIT / 4;

/** On demand: regions of two pages, eight chunks of a small size, two of a big one. */
export const onDemand = { regions: "onDemand" as const, regionSize: 2 * PAGE };

/** Cells that the threads of a program share: an access to one is a step. */
export const CELLS = 512;
/** A thread's blocks are in the cells from its number times CELLS_EACH on; then their sizes. */
export const CELLS_EACH = 32;
export const CELL_SIZES = 128;
/** For a program's own use. */
export const CELL_FREE = 256;
/** Reports to the host, by kind; mistakes throw instead. */
export const CELL_FULL = 496;
export const CELL_REFUSED = 497;
/** Slices of the memory: grow() adds to it. */
export const CELL_SLICES = 500;
/** Ids of the threads. */
export const CELL_THREAD_IDS = 504;
/** Address of the list of quarantined blocks. */
export const CELL_LIST = 510;

/** All words that are checked for races: those of the memory, then the cells. */
export const WORDS = MEMORY_WORDS + CELLS;

/** What all threads of an explorer share. */
export interface Shared {
  memory: SharedArrayBuffer;
  cells: SharedArrayBuffer;
  /** The owner of each 512 bytes of the memory: its cell plus 1. */
  live: SharedArrayBuffer;
}

/** What a thread's body works with. */
export interface Thread {
  readonly number: number;
  readonly core: SizeClassCore;
  readonly words: Uint32Array;
  readonly cells: Int32Array;
  readonly live: Int32Array;
  /** The heap of this thread since it attached last. */
  heap: SharedSizeClassHeap;
  /** Only in programs with `hardened`. */
  hard: HardenedMalloc | undefined;
  /** Attaches this thread. */
  attach(): void;
  /** Makes an access to a cell that threads share a step. */
  meet(cell: number): void;
}

export interface Program extends ProgramOf<Thread> {
  options?: SizeClassOptions;
  hardened?: HardenedFlags;
  /** Slices that the memory may have for large blocks. Default: all. */
  slices?: number;
  /** Chunks and pages of large blocks that a death may lose. */
  leak?: { chunks?: number; pages?: number };
  /** Pages among the large blocks that other code grew: they stay marked. */
  foreign?: number;
  /** Whether statistics are read while others work: then any of their words may be in a race. */
  readsStats?: boolean;
}

const geometries = new Map<Program, Geometry>();

export function geometryFor(program: Program): Geometry {
  const known = geometries.get(program);
  if (known) return known;
  const site = { begin: BEGIN, limit: LIMIT, pageSize: PAGE, spaceSize: SPACE, map: "default" };
  const options = { map, granule: PAGE, shared: true, threads: 4, ...program.options };
  const made = geometryOf(options, { ...site, map: "default" });
  geometries.set(program, made);
  return made;
}

/** Addresses of the bits of used pages, and of those where mappings begin. */
export function bitmapsOf(program: Program): { used: number; starts: number; bytes: number } {
  const { control, cacheShift, threadSlots, largePages } = geometryFor(program);
  const bytes = largePages / 8;
  const used = control + controlSize(32, cacheShift, threadSlots, 0, 0);
  return { used, starts: used + bytes, bytes };
}

/** Address and size of the map of regions on demand. */
function mapOf(program: Program): { map: number; bytes: number } {
  const { starts, bytes } = bitmapsOf(program);
  return { map: starts + bytes, bytes: geometryFor(program).mapRegions * 4 };
}

/** What a word belongs to, for the message of a race. */
export function wordName(program: Program, index: number): string {
  const { space, control, large, regionLog } = geometryFor(program);
  const p = index * 4;
  if (index >= MEMORY_WORDS) return `cell ${index - MEMORY_WORDS}`;
  if (p >= large) return `byte ${p - large} of the large blocks`;
  const { map, bytes } = mapOf(program);
  if (p >= map && p < map + bytes) return `region ${(p - map) / 4} in the map`;
  if (p < control) return `byte ${p % 2 ** regionLog} of region ${(p - space) >>> regionLog}`;
  if (p < control + REGIONS) return `byte ${p - control} of control`;
  const at = p - control - REGIONS;
  const cls = Math.floor(at / REGION_SIZE);
  if (cls < 256) return `byte ${at % REGION_SIZE} of the info of class ${cls}`;
  return `byte ${p - control} of control`;
}

/**
 * Words that are read without their lock. For the caller's own blocks their value is fixed: its own
 * chunk is below R_REACH, which only grows; the bit of its own mapping is set. On demand a search
 * for regions of a class reads those of other classes, and the search for a larger class guesses
 * which has chunks.
 */
export function raceIsMeant(program: Program, index: number): boolean {
  const { control, large } = geometryFor(program);
  const p = index * 4;
  if (p < control) return false;
  if (p >= large) return program.readsStats === true;
  const { starts, bytes } = bitmapsOf(program);
  if (p >= starts && p < starts + bytes) return true;
  const regions = mapOf(program);
  if (p >= regions.map && p < regions.map + regions.bytes) return true;
  const demands = regions.bytes > 0;
  if (demands && p === control + C_REGIONS) return true;
  const at = p - control - REGIONS;
  if (at < 0 || at >= 256 * REGION_SIZE) return program.readsStats === true;
  const word = at % REGION_SIZE;
  return program.readsStats === true || word === R_REACH || (demands && word === R_FREED);
}

/** The hardened malloc of a thread, if the program has one. */
export function hardenedOf(program: Program, { heap, cells }: Thread): HardenedMalloc | undefined {
  const { hardened: flags } = program;
  const list = cells[CELL_LIST] as number;
  return flags && new HardenedMalloc({ heap, flags, hooks: {}, cookie: 0x5eed, list });
}

/** One thread's instance, for all programs in turn. */
export class Instance {
  readonly core: SizeClassCore;
  readonly words: Uint32Array;
  readonly cells: Int32Array;
  readonly live: Int32Array;
  #place: LinearSpace | undefined;
  #source: MemorySource;
  #program: Program | undefined;

  constructor(
    { memory, cells, live }: Shared,
    steps: Pick<SteppedHost, "step" | "plain" | "pause" | "torn">,
  ) {
    this.words = new Uint32Array(memory);
    this.cells = new Int32Array(cells);
    this.live = new Int32Array(live);
    this.#source = this.#sourceMake(memory);
    const place = () => this.#place as LinearSpace;
    this.core = createStepped({
      buffer: memory,
      grow: () => 0,
      pages: () => 0,
      error: (code, size) => this.#onError(code, size),
      map: (address, bytes) => place().map(address, bytes),
      unmap: (address, bytes) => place().unmap(address, bytes),
      release: (address, bytes) => place().release(address, bytes),
      now: () => 1,
      step: (index, load) => steps.step(index, load),
      plain: (index, load) => steps.plain(index, load),
      pause: (rounds) => steps.pause(rounds),
      get torn() {
        return steps.torn;
      },
    });
  }

  /** Binds the instance for a program. */
  bind(program: Program): void {
    this.#program = program;
    const geometry = geometryFor(program);
    const hooks = {
      onError: () => {},
      onGrow: () => {},
      onMap: () => {},
      onUnmap: () => {},
      now: () => 1,
    };
    this.#place = new LinearSpace(this.#source, geometry, hooks);
    this.#place.core = this.core;
    coreBind(this.core, geometry, createSizeClassMap(geometry.map).rounded);
  }

  /** Initialises the space. */
  begin(program: Program): void {
    this.bind(program);
    const geometry = geometryFor(program);
    const slices = geometry.large / SLICE;
    this.cells[CELL_SLICES] = slices;
    topWrite(this.#source, geometry, slices);
    const { cachedHint, bytesCachedLog } = geometry.map;
    const { seed = 0, releaseInterval = -1 } = program.options ?? {};
    this.core.spaceInit(cachedHint, bytesCachedLog, seed, releaseInterval >>> 0);
  }

  /** This thread's part, with a new thread id. */
  attach<H>(Heap: new (parts: ConstructorParameters<typeof SharedSizeClassHeap>[0]) => H): H {
    const threadId = this.core.threadIdDraw() >>> 0;
    if (!this.core.slotTake(threadId)) throw new Error("no thread slot for a thread");
    const geometry = geometryFor(this.#program as Program);
    const primary = new Primary({
      core: this.core,
      map: createSizeClassMap(geometry.map),
      geometry,
      words: this.#words(),
      resident: undefined,
    });
    const parts = { core: this.core, primary, geometry, source: this.#source, threadId };
    return new Heap({ ...parts, backend: "js", maximum: undefined, destroy: () => {} });
  }

  /** Whether a thread has a slot. */
  isAttached(threadId: number): boolean {
    const { control, threadSlots } = geometryFor(this.#program as Program);
    const from = (control + C_SLOTS) / 4;
    return this.words.subarray(from, from + threadSlots).includes(threadId);
  }

  /** Pages of a class on demand: of its regions, and of its free array with the gap before it. */
  pagesOf(cls: number): number {
    const { mapRegions, regionLog } = geometryFor(this.#program as Program);
    if (mapRegions === 0) return 0;
    const regions = this.core.regionWord(cls, R_REGIONS);
    const array = this.core.regionWord(cls, R_MAPPED_ARRAY);
    const arrayPages = array === 0 ? 0 : array / PAGE + 1;
    return regions * (2 ** regionLog / PAGE) + arrayPages;
  }

  /** Number of chunks of a class, and its free array. */
  chunksOf(cls: number): { made: number; free: Uint32Array } {
    const word = (offset: number) => this.core.regionWord(cls, offset);
    const at = this.core.arrayAt(cls) / 4;
    const free = this.words.slice(at, at + word(R_FREED));
    return { made: word(R_ALLOCATED) / word(R_UNITS), free };
  }

  #words(): Words {
    return {
      load32: (p) => this.words[p / 4] as number,
      store32: (p, value) => {
        this.words[p / 4] = value;
      },
    };
  }

  #onError(code: number, size: number): void {
    const kind = code & ~0xffff;
    if (kind === DOUBLE_FREE) throw new Error(`class ${code & 0xffff}: ${size} was free twice`);
    if (kind === ARRAY_FULL) throw new Error(`class ${code & 0xffff}: too many were given back`);
    if (kind === REGION_FULL) Atomics.add(this.cells, CELL_FULL, 1);
    else if (code === OUT_OF_MEMORY) Atomics.add(this.cells, CELL_REFUSED, 1);
    else throw new Error(`unknown report to the host: ${code}`);
  }

  /** A memory that grows up to the slices of the program, and zeroes released pages. */
  #sourceMake(buffer: SharedArrayBuffer): MemorySource {
    const capabilities = { canGrow: true, shared: true, zeroed: true, detaches: false };
    const decommit = (address: number, bytes: number) => {
      this.words.fill(0, address / 4, (address + bytes) / 4);
      return true;
    };
    const pages = {
      pageBytes: PAGE,
      needsCommit: false,
      commit: () => true,
      decommit,
      reset: () => true,
      protect: () => false,
      unprotect: () => false,
    };
    return {
      kind: "the explorer's",
      capabilities: { ...capabilities, canRelease: true, canProtect: false },
      buffer,
      start: BEGIN,
      pages,
      grow: (slices) => this.grow(slices),
    };
  }

  /** Adds slices to the memory. */
  grow(slices: number): number {
    const program = this.#program as Program;
    const most = geometryFor(program).large / SLICE + (program.slices ?? LARGE_SLICES);
    const before = Atomics.add(this.cells, CELL_SLICES, slices);
    if (before + slices <= most) return ((slices << 16) | before) >>> 0;
    Atomics.sub(this.cells, CELL_SLICES, slices);
    return 0;
  }
}
