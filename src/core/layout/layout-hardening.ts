/** The part of layout.ts about hardening. */

/*
 * ---- hardening (docs/guide/hardening.md) --------------------------------------------------------
 *
 * With padding or canary, each block ends with a record:
 *
 *   block       p                    p + size            record
 *   +-----------+--------------------+---------------+--------+-------+
 *   | alignment | the program's      | slack         | canary | slack |   canary = seal of p, or
 *   |           | bytes              | DE DE DE …    |        | bytes |   its complement: freed
 *   +-----------+--------------------+---------------+--------+-------+
 */
export const HARD_ENCODE: u32 = 1;
export const HARD_SHUFFLE: u32 = 2;
export const HARD_PADDING: u32 = 4;
export const HARD_CANARY: u32 = 8;
export const HARD_DOUBLE_FREE: u32 = 16;
export const HARD_FILL: u32 = 32;
export const HARD_CHECKED_FREE: u32 = 64;
export const HARD_GUARD_PAGES: u32 = 128;
/** The features that need a record. */
export const HARD_RECORD: u32 = 12;
export const RECORD_SIZE: u32 = 8;
export const R_CANARY: u32 = 0;
export const R_DELTA: u32 = 4;
/** Bytes of slack that are filled and checked. */
export const SLACK_MAX: u32 = 16;
export const FILL_FRESH: u32 = 0xd0;
export const FILL_FREED: u32 = 0xdf;
export const FILL_SLACK: u32 = 0xde;
/** Fewest blocks of a shuffled extension. */
export const SHUFFLE_MIN: u32 = 32;
/** Most runs into which a shuffled extension is divided. */
export const SHUFFLE_RUNS: u32 = 64;

// Kinds of reports of a hardened core, each with a pointer and up to two numbers.
/** Block; its bytes. */
export const REPORT_DOUBLE_FREE: u32 = 1;
/** Pointer; its bytes; bytes up to the first one that was overwritten. */
export const REPORT_OVERFLOW: u32 = 2;
/** Block; its bytes; the address in its link. */
export const REPORT_FREE_LIST: u32 = 3;
/** Pointer; call (CALL_*). Not aligned to 8; not in a block; inside a block. */
export const REPORT_UNALIGNED: u32 = 4;
export const REPORT_FOREIGN: u32 = 5;
export const REPORT_INTERIOR: u32 = 6;
export const CALL_FREE: u32 = 0;
export const CALL_USABLE_SIZE: u32 = 1;
export const CALL_REALLOC: u32 = 2;
