/** What `stats()` of a heap returns. */
import type { HeapCounts } from "./counts.ts";
import type { CountOf, Kind, KindCount } from "./tally.ts";

/** What `stats()` returns. Sizes are in bytes; numbers without a unit count events or things. */
export interface HeapStats {
  /** Bytes of memory that the heap was given or has grown. */
  heapBytes: number;
  /** Bytes of pages: blocks in use and space for more of their sizes. */
  pageBytes: number;
  /** The most that pageBytes has been. */
  pageBytesPeak: number;
  /** Bytes of free slices. */
  freeBytes: number;
  /**
   * Bytes of the longest run of free slices: a block of that size needs no growth. What pages have
   * free is not in it; `collect(true)` gives back pages without blocks.
   */
  largestFreeBytes: number;
  /** How far the free slices are in pieces, from 0 to 1: 1 - largestFreeBytes / freeBytes. */
  fragmentation: number;
  /** Bytes of the heap's own state that a program of this size touches, in units of 4 KiB. */
  stateBytes: number;
  /** Bytes in slices that were taken into use and not purged since; all others are zero. */
  committedBytes: number;
  /** The most that committedBytes has been. */
  committedBytesPeak: number;
  /** How often the memory was asked to commit. */
  commits: number;
  /** How often it has taken a range back, by decommit or by filling it with zeros. */
  purges: number;
  /** Bytes of these ranges together. */
  purgedBytes: number;
  /** How often it was told that the contents of a range do not matter. */
  resets: number;
  /** Bytes of these ranges together. */
  resetBytes: number;
  /** Pages that hold blocks. */
  pages: number;
  /** Blocks in use. */
  blocks: number;
  /** Usable bytes of blocks in use. */
  blockBytes: number;
  /** How often malloc has taken the generic path. */
  heartbeat: number;
  /** Threads that are attached: 1 for a heap that is not shared. */
  threads: number;
  /** Pages of threads that have ended, which no other thread has taken yet. */
  abandonedPages: number;
  /** What is counted at all times. */
  counts: HeapCounts;
  /** From level 1 on: the blocks of up to 64 KiB, of up to 16 MiB, and larger ones. */
  sizes?: Record<Kind, KindCount>;
  /** At level 2: the blocks of each size class that was ever used. */
  bins?: BinCount[];
  /** At level 2: all bytes that were asked for. */
  requestedBytes?: number;
}

/** The blocks of a size class. */
export interface BinCount {
  /** Number of the size class. */
  bin: number;
  /** Bytes of each of its blocks. */
  size: number;
  /** How many blocks. */
  blocks: CountOf;
}
