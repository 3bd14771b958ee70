/** The part of layout.ts that is about arenas. */

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
 * The bitmap goes over all slices; those of no arena are 0 in it, so an arena need not begin or
 * end with a word.
 */
export const ARENAS_MAX: u32 = 112;
export const ARENA_RECORDS: u32 = 0x2000;
export const ARENA_RECORD_SHIFT: u32 = 5;
export const A_COUNT: u32 = 0;
export const A_FIRST: u32 = 4;
export const A_FLAGS: u32 = 8;
export const A_NODE: u32 = 12;
/** As STATE_PURGE has it for a chunk. */
export const A_PLAN: u32 = 16;
/** Only heaps that are bound to it allocate from it. */
export const ARENA_EXCLUSIVE: u32 = 1;
/** Is never purged. */
export const ARENA_PINNED: u32 = 2;
/** Flags of a call only: the memory is committed, or is to be; it is zero. */
export const ARENA_COMMITTED: u32 = 4;
export const ARENA_ZEROED: u32 = 8;
export const NODE_ANY: u32 = 0xffffffff;
