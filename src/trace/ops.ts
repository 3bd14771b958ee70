/**
 * A trace in memory.
 *
 * trace      the calls of a program to its allocator, in order
 * operation  one malloc, calloc, memalign, realloc or free
 * ID         the number of a block in the trace; counts up from 1, and is never used twice
 * slot       the index at which a replay keeps the address of a live block; used again when the
 *            block is freed, so that the table is as small as the number of live blocks
 *
 * It is an array of records of four u32:
 *
 *   0      4      8      12
 *   +------+------+------+------+
 *   | kind | slot | a    | b    |
 *   +------+------+------+------+
 *
 *   MALLOC    slot  size       0
 *   CALLOC    slot  count      size
 *   MEMALIGN  slot  alignment  size
 *   REALLOC   slot  size       0      a slot without a block: realloc of null
 *   FREE      slot  0          0
 *   THREAD    n     0          0      not an operation: thread n does the following
 *
 * The ID of a new block is the number of records so far that allocated one: it needs no field.
 */
export const MALLOC = 0;
export const CALLOC = 1;
export const MEMALIGN = 2;
export const REALLOC = 3;
export const FREE = 4;
export const THREAD = 5;

/** u32 fields of a record. */
export const RECORD_WORDS = 4;

/** The largest number in a trace, a size for example: PTRDIFF_MAX of a 32-bit program. */
export const NUMBER_MAX = 0x7fffffff;

/** Facts about a whole trace. */
export interface TraceFacts {
  /** Operations; thread lines do not count. */
  readonly operations: number;
  /** Blocks that are allocated: every operation but free. */
  readonly allocations: number;
  /** Threads that have a line of their own, and thread 0. */
  readonly threads: number;
  /** Peak of the requested bytes of all live blocks. */
  readonly peakLiveBytes: number;
  /** Record (not word) after which that peak was first reached. */
  readonly peakRecord: number;
  /** Blocks that are never freed. */
  readonly liveAtEnd: number;
  /** Slots that a replay needs. */
  readonly slots: number;
  /** Whether there is a memalign. */
  readonly aligned: boolean;
}

/** A trace that has been read. */
export interface Trace {
  /** The name of its file, as the caller gave it; error texts begin with it. */
  readonly file: string;
  /** Records of four u32; see above. */
  readonly records: Uint32Array;
  /** Facts about it. */
  readonly facts: TraceFacts;
}

/** A trace that cannot be read. Its message is `FILE:LINE: what is wrong`. */
export class TraceError extends Error {
  override readonly name = "TraceError";
  /** The name of the file. */
  readonly file: string;
  /** From 1; 0 if the fault is not in a line. */
  readonly line: number;

  constructor(file: string, line: number, fault: string) {
    super(line === 0 ? `${file}: ${fault}` : `${file}:${line}: ${fault}`);
    this.file = file;
    this.line = line;
  }
}
