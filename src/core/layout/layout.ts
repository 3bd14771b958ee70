/**
 * All nouns of the heap: units, structures, field offsets and special values.
 *
 * block   what malloc returns; a free block holds the address of the next free one
 * slice   64 KiB of address space (one wasm page), aligned to its size
 * page    a run of slices that holds blocks: small ones of one size, medium ones, or one large one
 * unit    2 KiB of a medium page
 * span    a run of free slices
 * desc    the 64-byte page descriptor; each slice has one, the first slice's describes the page
 * chunk   512 slices (32 MiB) whose descriptors lie in one table
 * bin     a size class; each bin has a queue of pages
 * state   the slices, descriptors and spans of one memory, which threads may share
 * arena   a run of slices that is set apart
 * heap    direct table and page queues; each thread has a backing heap and may have sub-heaps
 * area    2 KiB that hold the words of one heap
 *
 * A new state is one slice, of which a small program touches two pages of 4 KiB:
 *
 *   base                                                                   base + 64 KiB
 *   +--------+--------+---------------------------+--------+-------+--------------------+
 *   | state  | heap   | bitmaps: dirty and starts | (free) | purge | descriptors of     |
 *   | 1 KiB  | 2 KiB  | interleaved, 16 KiB       |        | 1 KiB | chunk 0, 32 KiB    |
 *   +--------+--------+---------------------------+--------+-------+--------------------+
 *   0        0x400    0xC00                       0x4C00   0x6C00  0x8000
 *
 * Each thread that shares a memory has its heap in an area behind the first slice. The area of the
 * single-thread heap stays empty:
 *
 *   base                                                  base + 64 KiB            base + 320 KiB
 *   +--------+---+---------------+--------+-------+-------+-----------+------------------+
 *   | state  |   | dirty, starts | free   | purge | table | abandoned | areas 4 to 127,  |
 *   |        |   |               | 8 KiB  |       |       | 8 KiB     | 2 KiB each       |
 *   +--------+---+---------------+--------+-------+-------+-----------+------------------+
 *   0        0x400  0xC00        0x4C00   0x6C00  0x8000  0x10000     0x12000
 *
 * Sub-heaps have areas of the same kind: in a shared state among those of the threads, else in
 * slices of 32 areas that are taken when needed.
 *
 * Descriptors are packed in tables instead of standing before their pages: headers at strides of 64
 * KiB share one cache set, and a stray write of the program would hit them first.
 */

export * from "./layout-arenas.ts";
export * from "./layout-counts.ts";
export * from "./layout-hardening.ts";

// ---- units ------------------------------------------------------------------------------------
/** The smallest block. */
export const WORD: u32 = 8;
export const POINTER_SIZE: u32 = 4;
export const SLICE_SHIFT: u32 = 16;
export const SLICE_SIZE: u32 = 65536;
/** The last slice of 4 GiB is never used, so that the end of every run fits a u32. */
export const SLICES_MAX: u32 = 65535;
export const CHUNK_SHIFT: u32 = 9;
export const CHUNK_SLICES: u32 = 512;
export const CHUNK_TABLE_SIZE: u32 = 32768;
/** PTRDIFF_MAX: larger requests fail as overflows. */
export const SIZE_MAX: u32 = 0x7fffffff;

// ---- page geometry ------------------------------------------------------------------------------
/** Largest block of a small page, which is one slice of blocks of one size. */
export const SMALL_MAX: u32 = 8192;
/** Largest block of a medium page (medium.ts); larger blocks are runs of slices of their own. */
export const MEDIUM_MAX: u32 = 65536;
export const MEDIUM_SLICES: u32 = 2;
export const MEDIUM_UNITS: u32 = 64;
export const UNIT_SHIFT: u32 = 11;
export const UNIT_SIZE: u32 = 2048;
/** Units of the largest medium block. */
export const MEDIUM_RUN_MAX: u32 = 32;
/** One less than the units of the smallest medium block: no search looks there. */
export const MEDIUM_RUN_MIN: u32 = 4;
/** Largest alignment that may be combined with an offset. */
export const ALIGNMENT_MAX: u32 = 1048576;
export const EXTEND_SIZE: u32 = 4096;
export const EXTEND_MIN: u32 = 4;
export const RETIRE_SMALL: u32 = 17;
export const RETIRE_MEDIUM: u32 = 5;
/** A retired page with at most so many sweeps left is idle. */
export const RETIRE_IDLE: u32 = 8;
/** From so many slices in pages on (4 MiB), untouched memory is used only after retired pages. */
export const RETIRE_SLICES: u32 = 64;

// ---- sizes served by the direct table; larger ones compute their bin ---------------------------
export const DIRECT_MAX: u32 = 1024;
export const DIRECT_COUNT: u32 = 129;

// ---- bins --------------------------------------------------------------------------------------
/** Bin of SMALL_MAX. */
export const BIN_LAST: u32 = 48;
/** Plus the bound of a medium page's longest free run: the bin of its queue. */
export const BIN_MEDIUM: u32 = 45;
/** The bin of a page that is one large block. It has no queue. */
export const BIN_LARGE: u32 = 78;
/** The queue of pages in which a search found no free block. */
export const BIN_FULL: u32 = 79;
export const BIN_COUNT: u32 = 80;
/** D_BIN of a slice at which no page begins and that is not at an edge of a span. */
export const BIN_NONE: u32 = 0;
/** D_BIN at both edges of a span: this plus the number of its slices. */
export const BIN_SPAN: u32 = 0x10000;
/** D_BIN of a slice of a shared state at which no page begins; BIN_NONE: not the state's slice. */
export const BIN_OURS: u32 = 0x10000;
/** D_BIN of a slice of chunk tables in a shared state. */
export const BIN_TABLE: u32 = 0x20000;

/*
 * ---- page descriptor ---------------------------------------------------------------------------
 *
 *   0    4     8    12    16     20    24    28    32    36    40   44   48     52  56     60
 *   +----+-----+----+-----+------+-----+-----+-----+-----+----+----+----+------+---+------+----+
 *   |free|local|used|owner|thread|block|fresh|fresh|start|page|next|prev|slices|bin|retire|zero|
 *   |    |free |    |     |free  |size |     |end  |     |end |    |    |      |   |      |    |
 *   +----+-----+----+-----+------+-----+-----+-----+-----+----+----+----+------+---+------+----+
 *
 *   start          fresh          fresh end            page end
 *   | handed out   | never handed | not yet taken      |
 *   | at least once| out          | into use           |
 *
 *   capacity = (fresh end - start) / block size
 *   used + |free| + |local free| + (fresh end - fresh) / block size == capacity
 *
 * Fresh blocks are on no list: linking them would write to each, long before the program does. Only
 * the owner accesses a descriptor, except for the word `thread free`, the list of the blocks that
 * other threads have freed; they count as used until the owner takes them. `owner` is the id of the
 * heap with flags in its low bits, so one comparison proves that the page is the heap's and has no
 * flags. The one block of a large page may be freed or resized by any thread. A slice at which no
 * page begins has owner 0. A span uses start, next, prev, slices and bin.
 */
export const DESC_SHIFT: u32 = 6;
export const DESC_SIZE: u32 = 64;
export const D_FREE: u32 = 0;
export const D_LOCAL: u32 = 4;
export const D_USED: u32 = 8;
export const D_OWNER: u32 = 12;
export const D_THREAD: u32 = 16;
export const D_BLOCK: u32 = 20;
export const D_FRESH: u32 = 24;
export const D_FRESH_END: u32 = 28;
/** Address of the first block; of a span: address of its first slice. */
export const D_START: u32 = 32;
/** One past the last block that fits; END_SAMPLE: see sample.ts. */
export const D_END: u32 = 36;
export const END_SAMPLE: u32 = 1;
export const D_NEXT: u32 = 40;
/** Of a large page: the table of the guarded blocks in it, or 0: see sample.ts. */
export const D_GUARDS: u32 = 40;
export const D_PREV: u32 = 44;
export const D_SLICES: u32 = 48;
export const D_BIN: u32 = 52;
/** Sweeps left until a retired page is given back; 0 = not retired. */
export const D_RETIRE: u32 = 56;
/**
 * ZERO_UNKNOWN, or the page was zero when it was made: then its fresh blocks are zero, and in a
 * medium page all units at or behind this address.
 */
export const D_ZERO: u32 = 60;
export const ZERO_UNKNOWN: u32 = 0xffffffff;
/** In a small page of a hardened build, which does not use D_ZERO: a random word. */
export const D_KEY: u32 = 60;

/** In a medium page, two pairs of words are bitmaps: see medium.ts. */
export const D_FREE_LOW: u32 = 0;
export const D_FREE_HIGH: u32 = 4;
export const D_BOUNDS_LOW: u32 = 24;
export const D_BOUNDS_HIGH: u32 = 36;

/** Flags in D_OWNER. Heap ids are multiples of 16. */
export const FLAG_FULL: u32 = 1;
export const FLAG_ALIGNED: u32 = 2;
export const FLAG_LARGE: u32 = 4;
export const FLAG_MEDIUM: u32 = 8;
export const FLAGS: u32 = 15;
/** Instead of a heap's id: the page's thread has ended, and any thread may adopt the page. */
export const OWNER_ABANDONED: u32 = 16;

/*
 * ---- page queue --------------------------------------------------------------------------------
 *
 *   0     4    8           12
 *   +-----+----+-----------+--------------+
 *   |first|last|block size |direct start  |    direct start: byte offset of the first direct entry
 *   +-----+----+-----------+--------------+    that this queue serves (above 1 KiB: none)
 */
export const QUEUE_SHIFT: u32 = 4;
export const Q_FIRST: u32 = 0;
export const Q_LAST: u32 = 4;
export const Q_BLOCK: u32 = 8;
export const Q_DIRECT: u32 = 12;

/*
 * ---- heap (offsets from heapBase) -------------------------------------------------------------
 *
 *   0     64             128                  644      704   768
 *   +-----+--------------+--------------------+--------+-----+----------------+
 *   |words|empty page    |direct table 129 * 4|counters|limit|queues 80 * 16  |
 *   +-----+--------------+--------------------+--------+-----+----------------+
 *
 * Offsets stay below 1 024, since binaryen folds only such constants into a load.
 */
export const H_ID: u32 = 0;
export const H_HEARTBEAT: u32 = 4;
export const H_RETIRE_MIN: u32 = 8;
export const H_RETIRE_MAX: u32 = 12;
/** Frees left until the next heartbeat, of those that empty a page; see pageEmptied. */
export const H_WARM: u32 = 16;
export const H_PAGES: u32 = 20;
/** Only in a shared heap, down to H_STATE. Word of the free bitmap where a search begins. */
export const H_HINT: u32 = 24;
/** Slice where the next search for abandoned pages begins. */
export const H_ABANDONED_AT: u32 = 28;
/** The full page that the poll looks at next, or 0. */
export const H_POLL: u32 = 32;
/** Other threads set it to 1 when they have freed blocks of small pages. */
export const H_REMOTE: u32 = 36;
/** As H_REMOTE for medium pages. */
export const H_REMOTE_MEDIUM: u32 = 40;
/** The id of the backing heap; 0 in a backing heap, and in every area that is free. */
export const H_OF: u32 = 44;
/** In the first area of a slice of areas: the next such slice, or 0. Not in a shared state. */
export const H_AREAS: u32 = 48;
/** 1: the heap has a budget or an arena. */
export const H_LIMITED: u32 = 52;
/** Id of the thread that recovers this area. */
export const H_RECOVERER: u32 = 56;
/** `thread id << 2 | AREA_*`. */
export const H_STATE: u32 = 60;
/** A page without blocks, to which the direct entries of empty queues point. */
export const H_EMPTY: u32 = 64;
export const H_DIRECT: u32 = 128;
/** Counters of statistics, COUNT_WORDS of them: see counts.ts. */
export const H_COUNTS: u32 = 644;
/** If H_LIMITED is set: the most slices that the heap's pages may have, 0 = any number. */
export const H_MOST: u32 = 704;
/**
 * Slices of the heap's pages; in a shared state also of large ones that other threads have freed.
 */
export const H_HELD: u32 = 708;
/** Record of the arena that the heap allocates from, or 0. */
export const H_ARENA: u32 = 712;
/**
 * Only in a shared heap, since the last trim (heap.ts): twice the number of its pages in which
 * other threads seem to have freed the last block, plus 1 if they have freed any.
 */
export const H_FREED: u32 = 716;
export const H_QUEUES: u32 = 768;
export const WARM_MAX: u32 = 256;
/** A hardened build has no direct table. Its heap has a random context there (chacha.ts), … */
export const H_RANDOM: u32 = 128;
/** … and 64 words that are used to shuffle an extension. */
export const H_SHUFFLE: u32 = 272;

/*
 * ---- state (offsets from stateBase) -----------------------------------------------------------
 *
 *   0     64                   320                832     1024
 *   +-----+--------------------+------------------+-------+
 *   |words|span bins 64 * 4    |chunk tables 128*4|purge  |
 *   +-----+--------------------+------------------+-------+
 *
 *   slices of spans + slices of pages + slices of tables + 1 == slices that the state was given
 *   committed == dirty bits that are set
 */
/** One past the highest slice that the state has ever had. */
export const S_TOP: u32 = 0;
export const S_FREE_SLICES: u32 = 4;
export const S_OWN_SLICES: u32 = 8;
export const S_TABLE_SLICES: u32 = 12;
/** Address of a half slice that is free for the next chunk table, or 0. */
export const S_TABLE_SPARE: u32 = 16;
/** Bit n of the pair: span bin n is not empty. */
export const S_SPAN_MASK: u32 = 20;
export const S_PAGE_SLICES: u32 = 28;
export const S_PAGE_SLICES_PEAK: u32 = 32;
/** Only in a shared state, down to S_ABANDONED. The id of the heap that grows the memory, or 0. */
export const S_GROWER: u32 = 36;
/** The last thread id that was given. */
export const S_THREAD_IDS: u32 = 40;
/** How often a thread has attached. */
export const S_ATTACHES: u32 = 44;
/** 0: there are no abandoned pages. */
export const S_ABANDONED: u32 = 48;
/** The heartbeats of threads that have ended. */
export const S_HEARTBEAT: u32 = 52;
/** The newest slice of areas of sub-heaps, or 0. Not in a shared state. */
export const S_AREAS: u32 = 56;
export const S_SPANS: u32 = 64;
export const S_CHUNKS: u32 = 320;
export const SPAN_BINS: u32 = 64;
/** Ticks so far: the clock of purges, see purge.ts. */
export const S_TICK: u32 = 832;
/** Ticks from a free to its purge, plus 1; 0 = never. */
export const S_PURGE_DELAY: u32 = 836;
/** Ticks by which another free postpones a purge. */
export const S_PURGE_EXTEND: u32 = 840;
/** Factor by which arenas are purged later. */
export const S_PURGE_MULT: u32 = 844;
/** The operation that a purge requests: PAGES_DECOMMIT, PAGES_RESET or PAGES_ZERO. */
export const S_PURGE_HOW: u32 = 848;
/** No purge is due before this tick; 0 = none is planned. */
export const S_PURGE_NEXT: u32 = 852;
/** Not 0: slices that are not dirty must be committed before use. */
export const S_COMMIT_NEEDED: u32 = 856;
/** Slices that are committed: dirty ones. */
export const S_COMMITTED: u32 = 860;
export const S_COMMITTED_PEAK: u32 = 864;
/** How many runs the host has committed; decommitted or zeroed; reset. */
export const S_COMMITS: u32 = 868;
export const S_PURGES: u32 = 872;
export const S_RESETS: u32 = 876;
/** Slices of all these purges, and of all these resets. */
export const S_PURGED: u32 = 880;
export const S_RESET: u32 = 884;
/** Address of the slice with the arenas' records; 0: none. */
export const S_ARENAS: u32 = 888;
/** Number of arenas that were ever made. */
export const S_ARENA_COUNT: u32 = 892;
/** `first << 16 | end` of the slices that are kept for chunk tables, or 0: see tables.ts. */
export const S_TABLES: u32 = 896;
/** The most slices that the memory can have; 0 = unknown, so no slices are kept for tables. */
export const S_MOST: u32 = 900;
/** The sums of all heaps' counters when statistics were reset. */
export const S_COUNTS: u32 = 928;
/** How often the memory has grown, and the most threads that were attached. Written by the host. */
export const S_GROWTHS: u32 = 992;
export const S_THREADS_PEAK: u32 = 996;
/** Only in a hardened build, down to S_GUARD. Bits HARD_*: the features that are on. */
export const S_HARDENING: u32 = 1008;
/** Two random words from which the keys of pages are derived. */
export const S_SECRET: u32 = 1012;
export const S_SECRET_2: u32 = 1016;
/** Bytes of a page that the source can protect, or 0. */
export const S_GUARD: u32 = 1020;
/** Passes of the generic path for a tick, a power of two: about a millisecond of allocation. */
export const TICK_BEATS: u32 = 4096;

/** Operations of the host on a range of whole slices. */
export const PAGES_COMMIT: u32 = 0;
export const PAGES_DECOMMIT: u32 = 1;
export const PAGES_RESET: u32 = 2;
export const PAGES_ZERO: u32 = 3;

/** Flags of heapInit: the memory is zero; memory must be committed before use. */
export const INIT_ZEROED: u32 = 1;
export const INIT_COMMITS: u32 = 2;
/** From this bit on: the most slices that the memory can have, 0 = unknown. */
export const INIT_MOST_SHIFT: u32 = 16;

// ---- the state slice --------------------------------------------------------------------------
export const STATE_HEAP: u32 = 0x400;
/**
 * Two bitmaps over slices with interleaved words, so that small memories touch one page of both.
 * Dirty: 1 = the slice may hold something other than zeros.
 */
export const STATE_DIRTY: u32 = 0xc00;
/** Starts: 1 = a page begins here. */
export const STATE_STARTS: u32 = 0xc04;
/**
 * For each chunk, the tick at which its free slices are purged, or 0, and the tick beyond which
 * that is not postponed.
 */
export const STATE_PURGE: u32 = 0x6c00;
export const PURGE_SHIFT: u32 = 3;
export const PURGE_LIMIT: u32 = 4;
/** Tallies of blocks, while statistics are on: see layout-counts.ts. */
export const STATE_TALLY: u32 = 0x7000;
export const STATE_TABLE: u32 = 0x8000;

// ---- a shared state -------------------------------------------------------------------------
export const SHARED_STATE_SLICES: u32 = 5;
/** Bitmap over slices: 1 = free. */
export const STATE_FREE: u32 = 0x4c00;
/** Bitmap over slices: 1 = an abandoned page begins here. */
export const STATE_ABANDONED: u32 = 0x10000;
export const STATE_AREAS: u32 = 0x10000;
export const AREA_SHIFT: u32 = 11;
export const AREA_SIZE: u32 = 2048;
/** The first areas would lie where the bitmap of abandoned pages is. */
export const AREA_FIRST: u32 = 4;
export const AREA_COUNT: u32 = 128;
/** The low two bits of H_STATE. */
export const AREA_FREE: u32 = 0;
export const AREA_LIVE: u32 = 1;
export const AREA_RECOVERING: u32 = 2;
export const THREAD_ID_MAX: u32 = 0x3fffffff;

// ---- error codes, as errno numbers them -------------------------------------------------------
export const EAGAIN: u32 = 11;
export const ENOMEM: u32 = 12;
/** A list of freed blocks is damaged. */
export const EFAULT: u32 = 14;
export const EINVAL: u32 = 22;
export const EOVERFLOW: u32 = 75;
/** Not an errno: operator new has no memory; the host may free some. */
export const NEW_FAILED: u32 = 4108;
/** Not an errno: the host may free what it has deferred; with size 1 it must free all of it. */
export const DEFERRED_FREE: u32 = 4109;
/** Not an errno: a block has been allocated. Its address comes as size; see observe.ts. */
export const ALLOCATED: u32 = 4112;
/** Not an errno: a block is about to be freed. Its address comes as size. */
export const FREED: u32 = 4113;
/** Not an errno: a block was resized in place. Its address comes as size. */
export const RESIZED: u32 = 4114;
/**
 * Not an errno: a page is about to be given back with all its blocks. Its descriptor comes as size.
 */
export const PAGE_GONE: u32 = 4115;

/** Results of pointerCheck. */
export const PTR_BLOCK: u32 = 0;
export const PTR_FOREIGN: u32 = 1;
export const PTR_INTERIOR: u32 = 2;
/** Only inside a hardened core: a free block of a medium page. */
export const PTR_FREED: u32 = 3;
