/** The part of layout.ts about statistics, observers and samples. */

/*
 * ---- counters (offsets from H_COUNTS and S_COUNTS) ----------------------------------------------
 *
 * Each wraps at 2^32. Summed over all areas, pages made - pages gone == pages that exist. In one
 * area the difference may be negative, if its heap gives back pages that another heap made.
 */
export const COUNT_PAGES: u32 = 0;
export const COUNT_PAGES_GONE: u32 = 4;
export const COUNT_PAGES_PEAK: u32 = 8;
/** Slices of pages that were given back, and slices that large blocks gave up in place. */
export const COUNT_SLICES_GONE: u32 = 12;
/** How often a page took more of its blocks into use. */
export const COUNT_EXTENDS: u32 = 16;
/** Empty pages that were given back at once instead of being retired. */
export const COUNT_NO_RETIRE: u32 = 20;
/** Searches of a queue, and the pages that they visited. */
export const COUNT_SEARCHES: u32 = 24;
export const COUNT_SEARCHED: u32 = 28;
export const COUNT_ABANDONED: u32 = 32;
export const COUNT_WORDS: u32 = 9;

/*
 * ---- tallies (16 bytes each from STATE_TALLY) ---------------------------------------------------
 *
 *   0          4           8     12
 *   +----------+-----------+-----+------+    total: of all that was ever counted, 64 bits;
 *   |total low |total high |now  |peak  |    total - now: of all that was freed
 *   +----------+-----------+-----+------+
 *
 * The tally of a bin, up to BIN_LARGE - 1, counts blocks.
 */
export const TALLY_SHIFT: u32 = 4;
export const T_TOTAL: u32 = 0;
export const T_HIGH: u32 = 4;
export const T_NOW: u32 = 8;
export const T_PEAK: u32 = 12;
/** Bytes of blocks up to MEDIUM_MAX, up to KIND_LARGE_MAX, and larger; then the numbers of them. */
export const TALLY_BYTES: u32 = 80;
export const TALLY_BLOCKS: u32 = 83;
/** Requested bytes: only the total is counted. */
export const TALLY_ASKED: u32 = 86;
export const TALLIES: u32 = 87;
/** mimalloc calls larger blocks huge. */
export const KIND_LARGE_MAX: u32 = 16777216;

/** Bits of observeBind: report mallocs; report frees. */
export const OBSERVE_MALLOCS: u32 = 1;
export const OBSERVE_FREES: u32 = 2;
/** Count each allocation up to the next sample; count those of small pages by batches. */
export const OBSERVE_EACH: u32 = 4;
export const OBSERVE_SOME: u32 = 8;
/** Both modes of counting samples. */
export const OBSERVE_SAMPLES: u32 = 12;
/** Bits that send malloc to its slow path. */
export const OBSERVE_SLOW: u32 = 5;
/** Bits that report events to the host. */
export const OBSERVE_EVENTS: u32 = 3;

/**
 * Not errno numbers: the host may serve an allocation of so many bytes (1 for 0); a guarded block
 * is freed; the size of a guarded block is requested; a pointer that is not a live block is
 * resized.
 */
export const SAMPLE_DUE: u32 = 4116;
export const GUARD_FREED: u32 = 4117;
export const GUARD_SIZE: u32 = 4118;
export const GUARD_MISUSED: u32 = 4119;

/*
 * ---- table of guarded blocks (D_GUARDS) ---------------------------------------------------------
 *
 *   0      4      8       20
 *   +------+------+-------+-------+---    entry
 *   |count |frees |entry 0|entry 1|       +----+-----+------+   ptr: 0 = there never was a block
 *   +------+------+-------+-------+---    |ptr |size |frees |   size: 0xffffffff = it is free
 *                                         +----+-----+------+
 *   frees == frees of all entries         frees: by threads that do not own the guards
 *
 * Only the thread that owns the guards writes to the table, except for the two counts of frees.
 */
export const GUARDS_COUNT: u32 = 0;
export const GUARDS_FREES: u32 = 4;
export const GUARDS_FIRST: u32 = 8;
export const GUARD_ENTRY: u32 = 12;
export const G_PTR: u32 = 0;
export const G_SIZE: u32 = 4;
export const G_FREES: u32 = 8;
export const GUARD_IS_FREE: u32 = 0xffffffff;
