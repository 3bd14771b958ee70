/** The part of layout.ts that is about reserves, which are arenas outside the core. */

/*
 * ---- reserves ----------------------------------------------------------------------------------
 *
 * A reserve is a run of slices that is set apart: what users, and mimalloc, call an arena. The
 * first one takes a slice for all of them:
 *
 *   0                        0x2000
 *   +------------------------+--------------------+--------+
 *   | bitmap: 1 = free slice | records 112 * 32   | (free) |
 *   +------------------------+--------------------+--------+
 *
 *   0     4     8     12   16   20
 *   +-----+-----+-----+----+----+-----+
 *   |count|first|flags|node|plan|limit|    count is written last: 0 = no reserve (yet)
 *   +-----+-----+-----+----+----+-----+
 *
 * The bitmap goes over all slices; those of no reserve are 0 in it, so a reserve need not begin or
 * end with a word.
 */
export const RESERVES_MAX: u32 = 112;
export const RESERVE_RECORDS: u32 = 0x2000;
export const RESERVE_SHIFT: u32 = 5;
export const R_COUNT: u32 = 0;
export const R_FIRST: u32 = 4;
export const R_FLAGS: u32 = 8;
export const R_NODE: u32 = 12;
/** As STATE_PURGE has it for a chunk. */
export const R_PLAN: u32 = 16;
/** Only heaps that are bound to it allocate from it. */
export const RESERVE_EXCLUSIVE: u32 = 1;
/** Is never purged. */
export const RESERVE_PINNED: u32 = 2;
/** Flags of a call only: the memory is committed, or is to be; it is zero. */
export const RESERVE_COMMITTED: u32 = 4;
export const RESERVE_ZEROED: u32 = 8;
export const NODE_ANY: u32 = 0xffffffff;
