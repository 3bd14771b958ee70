/** Sizes of the programs' blocks, by the map of steps.ts. */

/** 28 chunks, four of them a granule. */
export const SMALL = 1024;
export const CLASS_SMALL = 2;
/** 14 chunks, two of them a granule. */
export const TWO = 2048;
/** 7 chunks of a page. */
export const BIG = 4096;
export const CLASS_BIG = 8;
/** 3 chunks, and there is no larger class. */
export const HUGE = 8192;
/** Four pages with the head's, in a mapping of their own. */
export const LARGE = 12000;
