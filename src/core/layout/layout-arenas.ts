/** The part of layout.ts about arenas. */

/*
 * ---- arenas ------------------------------------------------------------------------------------
 *
 * An arena is a run of slices that is set apart. The records of all are in one slice, which the
 * first arena takes:
 *
 *   0                        0x2000
 *   +------------------------+--------------------+--------+
 *   | bitmap: 1 = free slice | records 112 * 32   | (free) |
 *   +------------------------+--------------------+--------+
 *
 *   0     4     8     12   16   20
 *   +-----+-----+-----+----+----+-----+
 *   |count|first|flags|node|plan|limit|    count is written last: 0 = no arena (yet)
 *   +-----+-----+-----+----+----+-----+
 *
 * The bitmap covers all slices; slices outside arenas are 0 in it, so an arena need not begin or
 * end at a word.
 */
export const ARENAS_MAX: u32 = 112;
export const ARENA_RECORDS: u32 = 0x2000;
export const ARENA_RECORD_SHIFT: u32 = 5;
export const A_COUNT: u32 = 0;
export const A_FIRST: u32 = 4;
export const A_FLAGS: u32 = 8;
export const A_NODE: u32 = 12;
/** As a chunk's entry in STATE_PURGE. */
export const A_PLAN: u32 = 16;
/** Only heaps that were made for the arena allocate from it. */
export const ARENA_EXCLUSIVE: u32 = 1;
/** The arena is never purged. */
export const ARENA_PINNED: u32 = 2;
/** Flags of a call, not of a record: the memory is committed, or shall be; the memory is zero. */
export const ARENA_COMMITTED: u32 = 4;
export const ARENA_ZEROED: u32 = 8;
export const NODE_ANY: u32 = 0xffffffff;
