/** Sizes of blocks in the programs, for the map of steps.ts. */

/** 28 chunks, four in a granule. */
export const SMALL = 1024;
export const CLASS_SMALL = 2;
/** 14 chunks, two in a granule. */
export const TWO = 2048;
/** 7 chunks of a page. */
export const BIG = 4096;
export const CLASS_BIG = 8;
/** 3 chunks of the largest class. */
export const HUGE = 8192;
/** Four pages with the head, in a mapping of its own. */
export const LARGE = 12000;
