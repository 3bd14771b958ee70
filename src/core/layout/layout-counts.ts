/** Part of layout.ts: what statistics count, who watches, and who serves samples. */

/*
 * ---- counters (offsets from H_COUNTS and S_COUNTS) ----------------------------------------------
 *
 * Each wraps at 2^32. Added up over all areas, pages made - gone == pages that there are; in one
 * area the difference may be negative, of a heap that gives back the pages of another.
 */
export const COUNT_PAGES: u32 = 0;
export const COUNT_PAGES_GONE: u32 = 4;
export const COUNT_PAGES_PEAK: u32 = 8;
/** Slices of the pages that are gone, and those that large blocks gave up in place. */
export const COUNT_SLICES_GONE: u32 = 12;
/** How often a page has taken more of its blocks into use. */
export const COUNT_EXTENDS: u32 = 16;
/** Empty pages that were given back and not kept. */
export const COUNT_NO_RETIRE: u32 = 20;
/** Searches of a queue, and the pages that they looked at. */
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
/** Bytes of blocks up to MEDIUM_MAX, up to KIND_LARGE_MAX, and larger; then how many they are. */
export const TALLY_BYTES: u32 = 80;
export const TALLY_BLOCKS: u32 = 83;
/** Bytes that were asked for: only its total counts. */
export const TALLY_ASKED: u32 = 86;
export const TALLIES: u32 = 87;
/** mimalloc calls larger blocks huge. */
export const KIND_LARGE_MAX: u32 = 16777216;

/** What observeBind is told: to tell of allocations, and of frees; … */
export const OBSERVE_MALLOCS: u32 = 1;
export const OBSERVE_FREES: u32 = 2;
/** … to count every allocation up to the next sample, or those of small pages by batches. */
export const OBSERVE_EACH: u32 = 4;
export const OBSERVE_SOME: u32 = 8;
/** Either of these two. */
export const OBSERVE_SAMPLES: u32 = 12;
/** Those for which malloc takes its long way. */
export const OBSERVE_SLOW: u32 = 5;
/** Those that tell the host. */
export const OBSERVE_EVENTS: u32 = 3;

/**
 * No errno: the host may serve so many bytes, one if none; a guarded block is freed; its size is
 * asked for; what is resized is no live block.
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
 *   frees == frees of all entries         frees: by threads whose guards these are not
 *
 * Only the thread whose guards they are writes to it, but for the frees, which it takes from there.
 */
export const GUARDS_COUNT: u32 = 0;
export const GUARDS_FREES: u32 = 4;
export const GUARDS_FIRST: u32 = 8;
export const GUARD_ENTRY: u32 = 12;
export const G_PTR: u32 = 0;
export const G_SIZE: u32 = 4;
export const G_FREES: u32 = 8;
export const GUARD_IS_FREE: u32 = 0xffffffff;
