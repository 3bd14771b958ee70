/** The options of sizeClass, and the geometry that they make. */

import { wrongKind } from "../../common/errors.ts";
import { type OptionRow, optionsCheck } from "../../common/option-table.ts";
import type { ErrorHandler } from "../../heap/backend.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import type { MemorySource, Release } from "../../memory/index.ts";
import type { AddressSpace, Geometry, SizeClassMapOptions } from "../core/contract.ts";
import { controlSize, SLOTS_MAX } from "../core/layout.ts";
import { type SizeClassMap, type SizeClassMapName, sizeClassMap } from "../spaces/maps.ts";
import type { SizeClassError } from "./errors.ts";

/** How classes come to their regions. */
export type Regions = "reserved" | "onDemand";

export interface SizeClassOptions {
  /** Which build serves linear memory. Default: "wasm". */
  backend?: BackEnd | undefined;
  /** Linear memory that holds everything. Default: a new one. */
  memory?: WebAssembly.Memory | MemorySource | undefined;
  /** Bytes beyond which a new memory does not grow. */
  maximum?: number | undefined;
  /** Memory beyond 2^32, in the place of linear memory. */
  space?: AddressSpace | undefined;
  /** Where `space` begins: at a page. Without it anywhere, and shuffles depend on the place. */
  spaceBegin?: number | undefined;
  /**
   * "onDemand": as many regions as a class needs, out of the memory as it grows; in linear memory.
   * "reserved": one region a class, in addresses that are there from the beginning. Default:
   * "onDemand" in linear memory, unless spaceSize, freeArray or granule says what to reserve.
   */
  regions?: Regions | undefined;
  /** On demand, bytes of a region: a power of two. Default: the least that holds any chunk. */
  regionSize?: number | undefined;
  /** Bytes of all reserved regions: a power of two. Default: 64 MiB, in a `space` 2^40. */
  spaceSize?: number | undefined;
  /** Default: "veryCompact", in a `space` "default". */
  map?: SizeClassMapName | SizeClassMapOptions | undefined;
  /** Bytes of metadata for each chunk: a multiple of 16 up to 1024. Default: 0. */
  metadataSize?: number | undefined;
  /** Bytes that are mapped at a time: a power of two. Default: 64 KiB. */
  granule?: number | undefined;
  /** Bytes of a page of the system. Default: what `memory` says, or 4096. */
  pageSize?: number | undefined;
  /** A region's free array is so much of it: 4 is a quarter. A power of two. Default: 8. */
  freeArray?: number | undefined;
  /** Whether fresh chunks come in an order of chance, drawn from `seed`. Default: false. */
  shuffle?: boolean | undefined;
  seed?: number | undefined;
  /**
   * Milliseconds between releases of free pages to the system, a region at a time; negative: none.
   * Default: 5000 where the memory can release, else -1.
   */
  releaseInterval?: number | undefined;
  /**
   * Whether free memory goes back to the system through OS pages: "auto" = where there are some,
   * true = or it is an error. Default: only where `memory` has `pages` of its own. A Worker that is
   * terminated while it loads koffi takes the process with it: see docs/sizeclass.md.
   */
  release?: Release | undefined;
  /** Whether the last range of free chunks is released too; LLVM forgets it. Default: true. */
  releaseLast?: boolean | undefined;
  /** Whether other threads may attach. Default: false. */
  shared?: boolean | undefined;
  /** How many threads may at a time, up to 64. Default: 32. */
  threads?: number | undefined;
  /** Called when a request fails: 12 = out of memory. */
  onError?: ErrorHandler | undefined;
  /** Called once for each region that is full, while requests go on to larger classes. */
  onExhausted?: ((error: SizeClassError) => void) | undefined;
  /**
   * Called after each mapping, and before the end of one, while a lock is held: they and `now` must
   * not call the allocator. What they throw is thrown by a microtask.
   */
  onMap?: ((address: number, bytes: number) => void) | undefined;
  onUnmap?: ((address: number, bytes: number) => void) | undefined;
  /** Milliseconds since any moment: the clock of releases. Default: performance.now. */
  now?: (() => number) | undefined;
}

const SLICE = 65536;

function isBoolean(name: string) {
  return (value: unknown) =>
    typeof value === "boolean" ? undefined : wrongKind(name, "a boolean", value);
}

function isFunction(name: string) {
  return (value: unknown) =>
    typeof value === "function" ? undefined : wrongKind(name, "a function", value);
}

function isWhole(name: string, least: number, most: number) {
  return (value: unknown) => {
    if (typeof value !== "number") return wrongKind(name, "a number", value);
    if (Number.isInteger(value) && value >= least && value <= most) return undefined;
    return new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${value}`);
  };
}

function isPower(name: string, least: number, most: number) {
  return (value: unknown) => {
    if (typeof value !== "number") return wrongKind(name, "a number", value);
    if (Number.isInteger(Math.log2(value)) && value >= least && value <= most) return undefined;
    return new RangeError(`${name} must be a power of two from ${least} to ${most}, not ${value}`);
  };
}

/** Whether a value is an object that has some names. */
function hasAll(value: unknown, ...names: string[]): boolean {
  return typeof value === "object" && value !== null && names.every((name) => name in value);
}

function isMemory(value: unknown): Error | undefined {
  const good = value instanceof WebAssembly.Memory || hasAll(value, "grow", "capabilities");
  return good ? undefined : wrongKind("memory", "a memory", value);
}

function isSpace(value: unknown): Error | undefined {
  const good = hasAll(value, "begin", "map", "unmap", "release", "load32", "store32");
  return good ? undefined : wrongKind("space", "an address space", value);
}

function row(name: string, refuse: OptionRow["refuse"]): OptionRow {
  return { name, type: "", default: "", text: "", refuse };
}

function isBackEnd(value: unknown): Error | undefined {
  if (value === "wasm" || value === "js") return undefined;
  return new RangeError(`backend must be "wasm" or "js", not ${String(value)}`);
}

function isRelease(value: unknown): Error | undefined {
  if (typeof value === "boolean" || value === "auto") return undefined;
  return wrongKind("release", '"auto" or a boolean', value);
}

function isRegions(value: unknown): Error | undefined {
  if (value === "reserved" || value === "onDemand") return undefined;
  return new RangeError(`regions must be "reserved" or "onDemand", not ${String(value)}`);
}

const isInterval = isWhole("releaseInterval", -(2 ** 31), 2 ** 31);

/** @throws TypeError or RangeError for what is no interval of releases. */
export function intervalCheck(value: unknown): void {
  const wrong = isInterval(value);
  if (wrong) throw wrong;
}

/** Every option of sizeClass. */
export const sizeClassRows: OptionRow[] = [
  row("backend", isBackEnd),
  row("memory", isMemory),
  row("maximum", isWhole("maximum", 0, 2 ** 32)),
  row("space", isSpace),
  row("spaceBegin", isWhole("spaceBegin", 0, 2 ** 52)),
  row("regions", isRegions),
  row("regionSize", isPower("regionSize", 2 ** 16, 2 ** 24)),
  row("spaceSize", isPower("spaceSize", 2 ** 20, 2 ** 43)),
  row("map", () => undefined),
  row("metadataSize", isWhole("metadataSize", 0, 1024)),
  row("granule", isPower("granule", 4096, 2 ** 20)),
  row("pageSize", isPower("pageSize", 4096, 2 ** 16)),
  row("freeArray", isPower("freeArray", 2, 32)),
  row("shuffle", isBoolean("shuffle")),
  row("seed", isWhole("seed", 0, 2 ** 32 - 1)),
  row("releaseInterval", isInterval),
  row("release", isRelease),
  row("releaseLast", isBoolean("releaseLast")),
  row("shared", isBoolean("shared")),
  row("threads", isWhole("threads", 1, SLOTS_MAX)),
  row("onError", isFunction("onError")),
  row("onExhausted", isFunction("onExhausted")),
  row("onMap", isFunction("onMap")),
  row("onUnmap", isFunction("onUnmap")),
  row("now", isFunction("now")),
];

/** @throws TypeError or RangeError for unknown options and values out of range. */
export function sizeClassCheck(options: SizeClassOptions): void {
  optionsCheck(sizeClassRows, options);
  const { space, memory, backend, shared, maximum, spaceBegin } = options;
  regionsCheck(options);
  if (space === undefined) {
    if (spaceBegin !== undefined) throw new TypeError("spaceBegin is for a space");
    if (memory !== undefined && maximum !== undefined) {
      throw new TypeError("maximum is for a new memory");
    }
    return;
  }
  if (memory !== undefined || maximum !== undefined || backend !== undefined) {
    throw new TypeError("space takes the place of memory, maximum and backend");
  }
  if (shared) throw new TypeError("a space is for one thread: shared needs a memory");
}

/** What says how much to reserve. */
const RESERVING = ["spaceSize", "freeArray", "granule"] as const;

function areOnDemand(options: SizeClassOptions): boolean {
  const { regions, space } = options;
  if (regions !== undefined) return regions === "onDemand";
  return space === undefined && RESERVING.every((name) => options[name] === undefined);
}

/** Options that are for one of the two kinds of regions. */
function regionsCheck(options: SizeClassOptions): void {
  if (!areOnDemand(options)) {
    if (options.regionSize === undefined) return;
    throw new TypeError("regionSize is for regions on demand");
  }
  if (options.space) throw new TypeError("regions on demand are for linear memory");
  for (const name of RESERVING) {
    if (options[name] !== undefined) throw new TypeError(`${name} is for reserved regions`);
  }
}

/** The place of a space: what is settled before its geometry. */
export interface Site {
  readonly begin: number;
  /** No address from here on. */
  readonly limit: number;
  readonly pageSize: number;
  readonly spaceSize: number;
  readonly map: SizeClassMapName;
}

/**
 * The geometry of a space at a site.
 *
 * @throws RangeError with the numbers, when a region cannot hold what it must.
 */
export function geometryOf(options: SizeClassOptions, site: Site): Geometry {
  const map = sizeClassMap(options.map ?? site.map);
  const { metadataSize = 0, pageSize = site.pageSize } = options;
  if (metadataSize % 16 !== 0) {
    throw new RangeError(`metadataSize must be a multiple of 16, not ${metadataSize}`);
  }
  if (site.begin % pageSize !== 0) {
    throw new RangeError(
      `a space must begin at a multiple of its pages of ${pageSize} bytes, not at ${site.begin}`,
    );
  }
  return areOnDemand(options) ? demandOf(options, site, map) : reservedOf(options, site, map);
}

/** Regions lie where large blocks lie, behind the control area. */
function demandOf(options: SizeClassOptions, site: Site, map: SizeClassMap): Geometry {
  const common = commonOf(options, site, map);
  const { metadataSize, pageSize, threadSlots, cacheShift } = common;
  const needed = map.sizeLast + metadataSize;
  const regionSize = options.regionSize ?? Math.max(SLICE, 2 ** Math.ceil(Math.log2(needed)));
  if (needed > regionSize) {
    throw new RangeError(`regions of ${regionSize} bytes do not hold the ${needed} of one chunk`);
  }
  const control = site.begin;
  const largePages = largePagesOf(site.limit - control, pageSize);
  const mapRegions = Math.max(1, Math.floor((largePages * pageSize) / regionSize));
  const size = controlSize(map.rounded, cacheShift, threadSlots, largePages, mapRegions);
  // A page at least lies between the control area and the first chunk.
  const controlBytes = roundUp(size + pageSize, SLICE);
  const space = control + controlBytes;
  return {
    ...common,
    space,
    control,
    large: space,
    spaceSize: site.limit - space,
    controlBytes,
    regionLog: Math.log2(regionSize),
    arrayLog: 1,
    largePages: Math.max(0, largePages - Math.ceil(controlBytes / pageSize / 32) * 32),
    mapRegions,
  };
}

/** What both kinds have. */
function commonOf(options: SizeClassOptions, site: Site, map: SizeClassMap) {
  const { metadataSize = 0, granule = SLICE, pageSize = site.pageSize } = options;
  return {
    metadataSize,
    granule,
    pageSize,
    threadSlots: options.shared ? (options.threads ?? 32) : 1,
    cacheShift: cacheShiftOf(map),
    shuffle: options.shuffle ?? false,
    seedsByAddress: options.seed === undefined && options.spaceBegin === undefined,
    keepsLast: options.releaseLast === false,
    map: map.options,
  };
}

/** Pages that large blocks may lie in, where there are so many bytes. */
function largePagesOf(bytes: number, pageSize: number): number {
  const room = Math.floor(bytes / pageSize / 32) * 32;
  return Math.max(0, Math.min(room, LARGE_PAGES_MOST));
}

/** One region a class, and large blocks behind them. */
function reservedOf(options: SizeClassOptions, site: Site, map: SizeClassMap): Geometry {
  const common = commonOf(options, site, map);
  const { metadataSize, granule, pageSize, threadSlots, cacheShift } = common;
  const spaceSize = options.spaceSize ?? site.spaceSize;
  const regionLog = Math.log2(spaceSize / map.rounded);
  const arrayLog = Math.log2(options.freeArray ?? 8);
  regionProve(map, { regionLog, arrayLog, metadataSize, granule, pageSize });
  const control = site.begin + spaceSize;
  const largePages = largePagesOf(site.limit - control, pageSize);
  const controlBytes = roundUp(
    controlSize(map.rounded, cacheShift, threadSlots, largePages, 0),
    SLICE,
  );
  return {
    ...common,
    space: site.begin,
    control,
    large: control + controlBytes,
    spaceSize,
    controlBytes,
    regionLog,
    arrayLog,
    largePages: Math.max(0, largePages - Math.ceil(controlBytes / pageSize / 32) * 32),
    mapRegions: 0,
  };
}

/** 64 GiB of pages of 4 KiB, whose bits take 4 MiB. */
const LARGE_PAGES_MOST = 2 ** 24;

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** Logarithm of the bytes of the largest stack of a cache. */
function cacheShiftOf(map: SizeClassMap): number {
  let most = 1;
  for (let id = 1; id < map.classes; id++) most = Math.max(most, map.cachedHint(id));
  return Math.ceil(Math.log2(most * 2 * 4));
}

interface RegionShape {
  regionLog: number;
  arrayLog: number;
  metadataSize: number;
  granule: number;
  pageSize: number;
}

/** Beyond it no region of real memory comes near to being full of its smallest chunks. */
const LOG_TRUSTED = 32;

/** Throws unless a region holds its largest chunk, and all its chunks' places on the free array. */
function regionProve(map: SizeClassMap, shape: RegionShape): void {
  const { regionLog, arrayLog, metadataSize, granule, pageSize } = shape;
  const region = 2 ** regionLog;
  const array = 2 ** (regionLog - arrayLog);
  const name = `regions of ${region} bytes`;
  if (regionLog > 36) throw new RangeError(`${name}: compact pointers reach 68719476736 bytes`);
  if (granule % pageSize !== 0) {
    throw new RangeError(`granule ${granule} must be a multiple of the page, ${pageSize}`);
  }
  if (array < granule) {
    throw new RangeError(`${name} have free arrays of ${array} bytes, less than a granule`);
  }
  const least = roundUp(map.sizeLast, granule) + (metadataSize > 0 ? granule : 0);
  if (region - array < least) {
    throw new RangeError(`${name} have ${region - array} for chunks, not the ${least} of one`);
  }
  if (regionLog >= LOG_TRUSTED) return;
  const size = map.size(1);
  const chunks = Math.floor((region - array) / (size + metadataSize));
  const needed = chunks * 4 + Math.ceil(chunks / 32) * 4;
  if (needed <= array) return;
  throw new RangeError(
    `${name} may have ${chunks} chunks of ${size} bytes, whose free array needs ${needed} bytes, ` +
      `not ${array}: take larger chunks or a larger share, freeArray ${2 ** (arrayLog - 1)}`,
  );
}
