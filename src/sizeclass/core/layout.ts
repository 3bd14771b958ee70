/**
 * The terms of the size-class allocator: units, structures, field offsets, special values.
 *
 * space    a power of two of addresses, divided into as many regions as there are classes, rounded
 *          up; on demand all addresses that regions and large blocks may have
 * region   a power of two of addresses, of one class; on demand a class may have several
 * chunk    what a region consists of: all of one region have the same size, a multiple of 16
 * unit     16 bytes; sizes and offsets in a region are counted in units, so that 32 bits suffice
 *          for regions of 16 GiB
 * compact  the offset of a chunk in its region, in units; on demand in the space
 * granule  what is mapped at a time
 * page     what the operating system can take back at a time
 * cache    a thread's own chunks: a stack for each class
 * late     a list of chunks, or of mappings, that were freed without the lock, which another thread
 *          held; the next thread that has the lock empties it
 * large    blocks beyond the largest class, each in a mapping of its own
 *
 *   reserved:
 *   space                              control                    large
 *   +----------+----------+-----------+--------+-------+---------+---------------------+
 *   | region 0 | region 1 | ...       | words, | caches| bitmaps | mappings            |
 *   | (unused) |          |           | regions|       |         |                     |
 *   +----------+----------+-----------+--------+-------+---------+---------------------+
 *
 *   on demand: a map has a word a region: its class, and its ordinal among the regions of the class
 *   control                                space, large
 *   +--------+-------+---------+-----+     +----------+-------+-------+----------+----------+---
 *   | words, | caches| bitmaps | map | gap | region of| array | large | region of| region of|
 *   | regions|       |         |     |     | class 3  | of 3  | block | class 9  | class 3  |
 *   +--------+-------+---------+-----+     +----------+-------+-------+----------+----------+---
 *
 *   a region, reserved
 *   +----------------------+--------------+----------------+------------------+--------+
 *   | chunk 0, 1, ... ->   | not mapped   | <- meta 1, 0   | free array ->    | <- bits|
 *   +----------------------+--------------+----------------+------------------+--------+
 *   0        allocated  mapped            user - meta      user            region bytes
 *
 *   a region on demand                                    a free array on demand
 *   +----------------------+------+--------------+        +-----+------------------+--------+
 *   | chunk 0, 1, ...      | rest | <- meta 1, 0 |        | gap | free array ->    | <- bits|
 *   +----------------------+------+--------------+        +-----+------------------+--------+
 *   0                  reach               user                 0            mapped array bytes
 *
 *   allocated / chunk units == chunks == free array + late list + caches + handed out
 *   allocated <= mapped
 *   reserved:  reach == allocated, mapped + mapped meta <= user units
 *   on demand: allocated <= regions * reach, words of the class in the map == regions
 *
 * The free array comes after the chunks and the metadata, or after an unused page: a write past the
 * end of a chunk does not reach it unless it passes a gap. The bits, one a chunk, are temporary
 * data of a release.
 */

export const UNIT: u32 = 16;
/** No index, no chunk, no page. */
export const NONE: u32 = 0xffffffff;
/** PTRDIFF_MAX: larger requests fail. */
export const SIZE_MAX: u32 = 0x7fffffff;

/*
 * ---- control words -----------------------------------------------------------------------------
 */
/** The lock of the large blocks: the id of the thread that holds it, or 0. */
export const C_LOCK: u32 = 0;
/** The last thread id that was given. */
export const C_THREAD_ID: u32 = 4;
/** Milliseconds between releases of a class; NEVER: frees release nothing. */
export const C_INTERVAL: u32 = 8;
/** No large page below is free. */
export const C_LOW: u32 = 12;
/** Slices of the memory, from 0 on, that the allocator may use; the host's word, under the lock. */
export const C_TOP: u32 = 16;
export const C_LARGE_ALLOCS: u32 = 20;
export const C_LARGE_FREES: u32 = 24;
/** Pages in mappings now, and the most there ever were. */
export const C_LARGE_PAGES: u32 = 28;
export const C_LARGE_PEAK: u32 = 32;
/** The first mapping of the late list, as its page plus 1; 0 = none. */
export const C_LATE: u32 = 36;
/** On demand: one more than the highest number of a region that was ever used. */
export const C_REGIONS: u32 = 40;
/** 32 words: large blocks ever allocated, by the base-2 logarithm of the bytes of their mapping. */
export const C_LARGE_LOGS: u32 = 64;
/** One word for each thread slot: the id of the thread that has its cache, or 0. */
export const C_SLOTS: u32 = 256;
export const SLOTS_MAX: u32 = 64;

export const NEVER: u32 = 0xffffffff;

/** In the map: a region that has lost its class, and whose pages are still marked. */
export const UNASSIGNED: u32 = 256;

/*
 * ---- region info: 128 bytes --------------------------------------------------------------------
 *
 * Under the lock of the class, except the late list, which any thread pushes on.
 */
export const REGIONS: u32 = 512;
export const REGION_SIZE: u32 = 128;
/** The lock of the class: the id of the thread that holds it, or 0. */
export const R_LOCK: u32 = 0;
/** Entries of the free array. */
export const R_FREED: u32 = 4;
/** Units of the chunks that were made, in regions that were not released. */
export const R_ALLOCATED: u32 = 8;
/** Units that are mapped for chunks, and for metadata. */
export const R_MAPPED_USER: u32 = 12;
export const R_MAPPED_META: u32 = 16;
/** Bytes that are mapped for the free array, and for the bits; on demand the first has both. */
export const R_MAPPED_ARRAY: u32 = 20;
export const R_MAPPED_BITS: u32 = 24;
export const R_RAND: u32 = 28;
/** Chunks that caches ever took, and returned. */
export const R_ALLOCS: u32 = 32;
export const R_FREES: u32 = 36;
/** R_FREES when a range was last released; released ranges; time of the last release, 0 = never. */
export const R_FREES_AT: u32 = 40;
export const R_RELEASES: u32 = 44;
export const R_LAST: u32 = 48;
/** Pages that were ever released. */
export const R_PAGES: u32 = 52;
/** The first chunk of the late list, as its compact plus 1; 0 = none. */
export const R_LATE: u32 = 56;
/** 1 while the free array is rewritten from the bits: see `regionMend`. */
export const R_REWRITE: u32 = 60;
/** Units of a chunk; chunks that a cache takes at a time. */
export const R_UNITS: u32 = 64;
export const R_HINT: u32 = 68;
/** 1 once it was reported to the host that the class is full. */
export const R_REPORTED: u32 = 72;
/** Units of each region that hold chunks: a multiple of R_UNITS. */
export const R_REACH: u32 = 76;
/** On demand: number of regions of the class; address of its free array. */
export const R_REGIONS: u32 = 80;
export const R_ARRAY: u32 = 84;
/** Temporary data of a release: the last range found, in units from the base of the class. */
export const R_FROM: u32 = 88;
export const R_TO: u32 = 92;

/*
 * ---- cache of a thread -------------------------------------------------------------------------
 *
 *   0                 8                2048                 2048 + (1 << shift)
 *   +-------+--------+-------+--------+--------------------+--------------------+---
 *   | count | bound  | count | bound  | stack of class 0   | stack of class 1   |
 *   +-------+--------+-------+--------+--------------------+--------------------+---
 *   class 0          class 1
 *
 * A cache of zeros is valid: bounds are set when a class is first used.
 */
export const K_COUNT: u32 = 0;
export const K_BOUND: u32 = 4;
export const CACHE_HEAD: u32 = 2048;

/*
 * ---- head of a large mapping, in a page of its own ---------------------------------------------
 */
/** Pages of the mapping, with this one. */
export const H_PAGES: u32 = 0;
/** Bytes of the request. */
export const H_SIZE: u32 = 4;
/** Offset of the block in the mapping, in units. */
export const H_OFFSET: u32 = 8;
/** Link of the late list: the next mapping, as its page plus 1. */
export const H_LINK: u32 = 12;

// ---- results of the host's `map` ---------------------------------------------------------------
export const MAP_REFUSED: u32 = 0;
export const MAP_DONE: u32 = 1;
/** Other code grew a part of the range, which the host has marked: look for another range. */
export const MAP_ELSEWHERE: u32 = 2;

// ---- codes of reports to the host; out of memory is 12, as in errno ----------------------------
export const OUT_OF_MEMORY: u32 = 12;
/** Plus the class: its region is full. */
export const REGION_FULL: u32 = 0x10000;
/** Plus the class, with a compact: the chunk was freed twice. */
export const DOUBLE_FREE: u32 = 0x20000;
/** Plus the class: more chunks were returned than it has. */
export const ARRAY_FULL: u32 = 0x30000;

// ---- what a pointer can be ---------------------------------------------------------------------
export const PTR_GOOD: u32 = 0;
export const PTR_FOREIGN: u32 = 1;
export const PTR_INTERIOR: u32 = 2;

/** Bytes of the control area. `largePages` is a multiple of 32. */
export function controlSize(
  classes: u32,
  cacheShift: u32,
  threadSlots: u32,
  largePages: u32,
  mapRegions: u32,
): u32 {
  const bitmaps: u32 = (largePages >>> 3) * 2;
  return cachesBegin() + threadSlots * cacheSize(classes, cacheShift) + bitmaps + mapRegions * 4;
}

export function cachesBegin(): u32 {
  return REGIONS + 256 * REGION_SIZE;
}

export function cacheSize(classes: u32, cacheShift: u32): u32 {
  return CACHE_HEAD + (classes << cacheShift);
}
