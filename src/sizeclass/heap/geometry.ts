/** Where everything is in the memory of a size-class allocator. */

import type { Geometry } from "../core/contract.ts";
import { controlSize } from "../core/layout.ts";
import { createSizeClassMap, type SizeClassMap, type SizeClassMapName } from "../spaces/maps.ts";
import { areOnDemand, type SizeClassOptions } from "./options.ts";

const SLICE = 65536;

/** The addresses that a space may have, and the defaults that depend on them. */
export interface SpaceBounds {
  readonly begin: number;
  /** The end: no address from here on. */
  readonly limit: number;
  readonly pageSize: number;
  readonly spaceSize: number;
  readonly map: SizeClassMapName;
}

/**
 * Computes where everything is.
 *
 * @throws RangeError with the numbers, when a region cannot hold what it must.
 */
export function geometryOf(options: SizeClassOptions, bounds: SpaceBounds): Geometry {
  const map = createSizeClassMap(options.map ?? bounds.map);
  const { metadataSize = 0, pageSize = bounds.pageSize } = options;
  if (metadataSize % 16 !== 0) {
    throw new RangeError(`metadataSize must be a multiple of 16, not ${metadataSize}`);
  }
  if (bounds.begin % pageSize !== 0) {
    throw new RangeError(
      `a space must begin at a multiple of its pages of ${pageSize} bytes, not at ${bounds.begin}`,
    );
  }
  return areOnDemand(options) ? demandOf(options, bounds, map) : reservedOf(options, bounds, map);
}

/** Regions are among the large blocks, after the control area. */
function demandOf(options: SizeClassOptions, bounds: SpaceBounds, map: SizeClassMap): Geometry {
  const common = commonOf(options, bounds, map);
  const { metadataSize, pageSize, threadSlots, cacheShift } = common;
  const needed = map.sizeLast + metadataSize;
  const regionSize = options.regionSize ?? Math.max(SLICE, 2 ** Math.ceil(Math.log2(needed)));
  if (needed > regionSize) {
    throw new RangeError(`regions of ${regionSize} bytes do not hold the ${needed} of one chunk`);
  }
  const control = bounds.begin;
  const largePages = largePagesOf(bounds.limit - control, pageSize);
  const mapRegions = Math.max(1, Math.floor((largePages * pageSize) / regionSize));
  const size = controlSize(map.rounded, cacheShift, threadSlots, largePages, mapRegions);
  // At least one page separates the control area from the first chunk.
  const controlBytes = roundUp(size + pageSize, SLICE);
  const space = control + controlBytes;
  return {
    ...common,
    space,
    control,
    large: space,
    spaceSize: bounds.limit - space,
    controlBytes,
    regionLog: Math.log2(regionSize),
    arrayLog: 1,
    largePages: Math.max(0, largePages - Math.ceil(controlBytes / pageSize / 32) * 32),
    mapRegions,
  };
}

/** The part that both kinds of regions share. */
function commonOf(options: SizeClassOptions, bounds: SpaceBounds, map: SizeClassMap) {
  const { metadataSize = 0, granule = SLICE, pageSize = bounds.pageSize } = options;
  return {
    metadataSize,
    granule,
    pageSize,
    threadSlots: options.shared ? (options.threads ?? 32) : 1,
    cacheShift: cacheShiftOf(map),
    shuffle: options.shuffle ?? false,
    // An address of linear memory is the same in every process: see seedOf.
    seedsByAddress:
      options.space !== undefined && options.seed === undefined && options.spaceBegin === undefined,
    keepsLast: options.releaseLast === false,
    map: map.options,
  };
}

/** Pages for large blocks in so many bytes. */
function largePagesOf(bytes: number, pageSize: number): number {
  const most = Math.floor(bytes / pageSize / 32) * 32;
  return Math.max(0, Math.min(most, LARGE_PAGES_MOST));
}

/** One region a class, then the control area, then large blocks. */
function reservedOf(options: SizeClassOptions, bounds: SpaceBounds, map: SizeClassMap): Geometry {
  const common = commonOf(options, bounds, map);
  const { metadataSize, granule, pageSize, threadSlots, cacheShift } = common;
  const spaceSize = options.spaceSize ?? bounds.spaceSize;
  const regionLog = Math.log2(spaceSize / map.rounded);
  const arrayLog = Math.log2(options.freeArray ?? 8);
  regionCheck(map, { regionLog, arrayLog, metadataSize, granule, pageSize });
  const control = bounds.begin + spaceSize;
  const largePages = largePagesOf(bounds.limit - control, pageSize);
  const controlBytes = roundUp(
    controlSize(map.rounded, cacheShift, threadSlots, largePages, 0),
    SLICE,
  );
  return {
    ...common,
    space: bounds.begin,
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

/** Larger regions are never filled with their smallest chunks by any real memory. */
const LOG_TRUSTED = 32;

/** @throws RangeError unless a region holds its largest chunk, and its array all its chunks. */
function regionCheck(map: SizeClassMap, shape: RegionShape): void {
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
