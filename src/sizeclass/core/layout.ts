/**
 * All nouns of the size-class allocator: units, structures, field offsets, special values.
 *
 * space    a power of two of addresses, cut in as many regions as there are classes, rounded up; or
 *          all addresses that regions may be had from on demand
 * region   a power of two of addresses, of one class; on demand a class may have several
 * chunk    what a region hands out: all of one region have one size, a multiple of 16
 * unit     16 bytes; sizes and offsets inside a region are counted in units, so that 32 bits do for
 *          regions of 16 GiB
 * compact  a chunk's offset in its region, in units; on demand in the space
 * granule  what is mapped at a time
 * page     what the operating system can take back at a time
 * cache    a thread's own chunks, a stack a class
 * large    blocks beyond the largest class, each in a mapping of its own
 *
 *   reserved:
 *   space                              control                    large
 *   +----------+----------+-----------+--------+-------+---------+---------------------+
 *   | region 0 | region 1 | ...       | words, | caches| bitmaps | mappings            |
 *   | (unused) |          |           | regions|       |         |                     |
 *   +----------+----------+-----------+--------+-------+---------+---------------------+
 *
 *   on demand: a map has a word a region, its class and how many regions the class has before it
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
 * The free array lies behind the chunks and the metadata, or behind a page that nobody uses: out of
 * reach of what overruns a chunk by less than a gap. The bits, one a chunk, are scratch of a
 * release.
 */

export const UNIT: u32 = 16;
/** No index, no chunk, no page. */
export const NONE: u32 = 0xffffffff;
/** PTRDIFF_MAX: larger requests are refused. */
export const SIZE_MAX: u32 = 0x7fffffff;

/*
 * ---- control words -----------------------------------------------------------------------------
 */
/** Holder of the lock of the large blocks: a thread id, or 0. */
export const C_LOCK: u32 = 0;
/** The last thread id that was drawn. */
export const C_THREAD_ID: u32 = 4;
/** Milliseconds between releases of a region; NEVER: none. */
export const C_INTERVAL: u32 = 8;
/** No large page below is free. */
export const C_LOW: u32 = 12;
/** Slices of a memory that are ours, from 0 on; the host's word, under the lock. */
export const C_TOP: u32 = 16;
export const C_LARGE_ALLOCS: u32 = 20;
export const C_LARGE_FREES: u32 = 24;
/** Pages in mappings now, and the most there ever were. */
export const C_LARGE_PAGES: u32 = 28;
export const C_LARGE_PEAK: u32 = 32;
/** A page and one: the first mapping that somebody freed while the lock was not to be had. */
export const C_LATE: u32 = 36;
/** On demand: one more than the highest region that was ever had. */
export const C_REGIONS: u32 = 40;
/** 32 words: large blocks ever allocated, by the logarithm of their mapping. */
export const C_LARGE_LOGS: u32 = 64;
/** One word a thread slot: the thread id of the thread whose cache it is, or 0. */
export const C_SLOTS: u32 = 256;
export const SLOTS_MAX: u32 = 64;

export const NEVER: u32 = 0xffffffff;

/** In the map: a region that is no class's any more, and whose pages are still marked. */
export const GOING: u32 = 256;

/*
 * ---- region info: 128 bytes --------------------------------------------------------------------
 *
 * Under the region's lock, but for `late`, which is a stack that anybody pushes on.
 */
export const REGIONS: u32 = 512;
export const REGION_SIZE: u32 = 128;
/** Holder: a thread id, or 0. */
export const R_LOCK: u32 = 0;
/** Entries of the free array. */
export const R_FREED: u32 = 4;
/** Units of chunks that there are: put on the free array once, in regions that have not gone. */
export const R_ALLOCATED: u32 = 8;
/** Units that are mapped for chunks, and for metadata. */
export const R_MAPPED_USER: u32 = 12;
export const R_MAPPED_META: u32 = 16;
/** Bytes that are mapped of the free array, and of the bits; on demand both are in the first. */
export const R_MAPPED_ARRAY: u32 = 20;
export const R_MAPPED_BITS: u32 = 24;
export const R_RAND: u32 = 28;
/** Chunks that caches took and gave back since the beginning. */
export const R_ALLOCS: u32 = 32;
export const R_FREES: u32 = 36;
/** R_FREES when a range was last released, how many were, and when in milliseconds; 0 = never. */
export const R_FREES_AT: u32 = 40;
export const R_RELEASES: u32 = 44;
export const R_LAST: u32 = 48;
/** Pages that were given back, ever. */
export const R_PAGES: u32 = 52;
/** A compact and one: the first chunk that somebody freed while the lock was not to be had. */
export const R_LATE: u32 = 56;
/** 1 while the free array is being written anew from the bits: see `regionMend`. */
export const R_REWRITE: u32 = 60;
/** Units of a chunk, and chunks that a cache takes at a time. */
export const R_UNITS: u32 = 64;
export const R_HINT: u32 = 68;
/** 1 once the host has been told that the region is full. */
export const R_REPORTED: u32 = 72;
/** Units that hold chunks in each region of the class: a whole number of chunks. */
export const R_REACH: u32 = 76;
/** On demand: how many regions the class has, and where its free array begins. */
export const R_REGIONS: u32 = 80;
export const R_ARRAY: u32 = 84;
/** Of a release: the range that was found last, in units from the class's base. */
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
 * All zero is a valid cache: bounds are set when a class is first used.
 */
export const K_COUNT: u32 = 0;
export const K_BOUND: u32 = 4;
export const CACHE_HEAD: u32 = 2048;

/*
 * ---- head of a large mapping, in a page of its own ---------------------------------------------
 */
/** Pages of the mapping, with this one. */
export const H_PAGES: u32 = 0;
/** Bytes that were asked for. */
export const H_SIZE: u32 = 4;
/** Where the block begins in the mapping, in units. */
export const H_OFFSET: u32 = 8;
/** In C_LATE's stack: a page and one. */
export const H_LINK: u32 = 12;

// ---- what the host answers to `map` ------------------------------------------------------------
export const MAP_REFUSED: u32 = 0;
export const MAP_DONE: u32 = 1;
/** Somebody else has a part of it, and the host has marked that: look for another place. */
export const MAP_ELSEWHERE: u32 = 2;

// ---- what the host is told; out of memory is 12, as errno has it -------------------------------
export const OUT_OF_MEMORY: u32 = 12;
/** Plus the class: its region is full. */
export const REGION_FULL: u32 = 0x10000;
/** Plus the class, with a compact: the chunk was on the free array twice. */
export const DOUBLE_FREE: u32 = 0x20000;
/** Plus the class: more was given back than its region ever had. */
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
