/**
 * All nouns of the room.
 *
 * trace      what a program asked of its allocator, in order
 * operation  one malloc, calloc, memalign, realloc or free
 * ID         the trace's name of a block; they count up from 1 and are never used twice
 * slot       where a replay keeps the address of a live block; used again once the block is gone,
 *            so that a replay's own table is as small as the live set and not as the trace
 *
 * A trace in memory is an array of records of four u32:
 *
 *   0      4      8      12
 *   +------+------+------+------+
 *   | kind | slot | a    | b    |
 *   +------+------+------+------+
 *
 *   MALLOC    slot  size       0
 *   CALLOC    slot  count      size
 *   MEMALIGN  slot  alignment  size
 *   REALLOC   slot  size       0      a slot without a block: realloc of no block
 *   FREE      slot  0          0
 *   THREAD    n     0          0      no operation: thread n does the following
 *
 * The ID of a new block is the number of records so far that made one: it needs no field.
 */
export const MALLOC = 0;
export const CALLOC = 1;
export const MEMALIGN = 2;
export const REALLOC = 3;
export const FREE = 4;
export const THREAD = 5;

/** u32 fields of a record. */
export const RECORD_WORDS = 4;

/** Largest size (and every other number) in a trace: PTRDIFF_MAX of a 32-bit program. */
export const NUMBER_MAX = 0x7fffffff;

export interface TraceFacts {
  /** Without the thread lines. */
  readonly operations: number;
  /** Blocks that were made: every operation but free. */
  readonly allocations: number;
  readonly threads: number;
  /** Peak of the requested bytes of all live blocks. */
  readonly peakLiveBytes: number;
  /** Record (not word) after which that peak was first reached. */
  readonly peakRecord: number;
  /** Blocks that the program never freed. */
  readonly liveAtEnd: number;
  /** Slots that a replay needs. */
  readonly slots: number;
  /** There is at least one memalign. */
  readonly aligned: boolean;
}

export interface Trace {
  /** As the caller named it; begins error texts. */
  readonly file: string;
  readonly records: Uint32Array;
  readonly facts: TraceFacts;
}

/** A trace that cannot be read. Its message is `FILE:LINE: what is wrong`. */
export class TraceError extends Error {
  override readonly name = "TraceError";
  readonly file: string;
  /** From 1 on; 0 if the fault is the file's and not a line's. */
  readonly line: number;

  constructor(file: string, line: number, fault: string) {
    super(line === 0 ? `${file}: ${fault}` : `${file}:${line}: ${fault}`);
    this.file = file;
    this.line = line;
  }
}
