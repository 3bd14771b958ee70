/**
 * All nouns of the heap: units, structures, field offsets and special values.
 *
 * block   what malloc hands out; a free block holds the address of the next free one
 * slice   64 KiB of address space (one wasm page), aligned to its size
 * page    a run of slices that holds blocks: small ones of one size, medium ones, or one large one
 * unit    2 KiB of a medium page
 * span    a run of free slices
 * desc    the 64-byte page descriptor; every slice has one, the first slice's speaks for the run
 * chunk   512 slices (32 MiB) whose descriptors lie in one table
 * bin     a size class; each bin has a queue of pages
 * state   the slices, descriptors and spans of one memory, which threads may share
 * arena   a run of slices that is set apart
 * heap    direct table and page queues of one thread
 *
 * The state of a fresh memory is one slice, of which a small program touches two 4 KiB pages:
 *
 *   base                                                                   base + 64 KiB
 *   +--------+--------+---------------------------+--------+-------+--------------------+
 *   | state  | heap   | bitmaps: dirty and starts | (free) | purge | descriptors of     |
 *   | 1 KiB  | 2 KiB  | in turns, 16 KiB          |        | 1 KiB | chunk 0, 32 KiB    |
 *   +--------+--------+---------------------------+--------+-------+--------------------+
 *   0        0x400    0xC00                       0x4C00   0x6C00  0x8000
 *
 * Threads that share a memory have their heaps in an area each, behind the state slice, and the
 * place of the single thread's heap stays empty:
 *
 *   base                                                  base + 64 KiB            base + 320 KiB
 *   +--------+---+---------------+--------+-------+-------+-----------+------------------+
 *   | state  |   | dirty, starts | free   | purge | table | abandoned | areas 4 to 127,  |
 *   |        |   |               | 8 KiB  |       |       | 8 KiB     | 2 KiB each       |
 *   +--------+---+---------------+--------+-------+-------+-----------+------------------+
 *   0        0x400  0xC00        0x4C00   0x6C00  0x8000  0x10000     0x12000
 *
 * First-class heaps have areas of the same kind: in a shared state among those of the threads, else
 * in slices of 32 areas that are taken when needed.
 *
 * Descriptors are packed in tables and not put in front of their pages: headers at 64 KiB
 * strides share one cache set, and a stray write of the user would reach them first.
 */

export * from "./layout-arenas.ts";
export * from "./layout-counts.ts";

// ---- units ------------------------------------------------------------------------------------
/** The smallest block. */
export const WORD: u32 = 8;
export const POINTER_SIZE: u32 = 4;
export const SLICE_SHIFT: u32 = 16;
export const SLICE_SIZE: u32 = 65536;
/** The last slice of 4 GiB stays unused, so that the end of every run is a u32. */
export const SLICES_MAX: u32 = 65535;
export const CHUNK_SHIFT: u32 = 9;
export const CHUNK_SLICES: u32 = 512;
export const CHUNK_TABLE_SIZE: u32 = 32768;
/** PTRDIFF_MAX: larger requests are refused as overflow. */
export const SIZE_MAX: u32 = 0x7fffffff;

// ---- page geometry ------------------------------------------------------------------------------
/** Largest block of a small page, which is one slice of blocks of one size. */
export const SMALL_MAX: u32 = 8192;
/** Largest block of a medium page (medium.ts); blocks above are runs of slices of their own. */
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
/** A retired page with at most so many sweeps left counts as idle. */
export const RETIRE_IDLE: u32 = 8;
/** Slices in pages from which on retired pages go before untouched memory is used: 4 MiB. */
export const RETIRE_SLICES: u32 = 64;

// ---- sizes served by the direct table; larger ones compute their bin ---------------------------
export const DIRECT_MAX: u32 = 1024;
export const DIRECT_COUNT: u32 = 129;

// ---- bins --------------------------------------------------------------------------------------
/** Bin of SMALL_MAX. */
export const BIN_LAST: u32 = 48;
/** Plus the bound of its longest free run: the queue of a medium page. */
export const BIN_MEDIUM: u32 = 45;
/** Not a queue: the bin of a page that is one large block. */
export const BIN_LARGE: u32 = 78;
/** The queue of pages in which a search found no free block. */
export const BIN_FULL: u32 = 79;
export const BIN_COUNT: u32 = 80;
/** D_BIN of a slice that begins no page and is at no edge of a span. */
export const BIN_NONE: u32 = 0;
/** D_BIN at both edges of a span: this plus the number of its slices. */
export const BIN_SPAN: u32 = 0x10000;
/** D_BIN of a slice that is the shared state's and begins no page; BIN_NONE: somebody else's. */
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
 * Fresh blocks are on no list: threading them would write to every one, long before its user does.
 * Only the owner touches a descriptor, but for the one word `thread free`, the list of the blocks
 * that other threads have freed; they count as used until the owner takes them. `owner` is the id
 * of the heap with flags in its low bits, so one comparison proves "mine, and nothing special".
 * A page of one large block belongs to whoever frees or resizes the block.
 * A slice that does not begin a page has owner 0. A span uses start, next, prev, slices and bin.
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
/** Sweeps left until an empty page that was kept is given back; 0 = not retired. */
export const D_RETIRE: u32 = 56;
/**
 * ZERO_UNKNOWN, or the page was zero when it was made: then fresh blocks are, and in a medium page
 * all units at or behind this address.
 */
export const D_ZERO: u32 = 60;
export const ZERO_UNKNOWN: u32 = 0xffffffff;
/** In a small page of a hardened build, which has no use for D_ZERO: a random word. */
export const D_KEY: u32 = 60;

/** In the descriptor of a medium page two pairs of words have another meaning: see medium.ts. */
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
/** In the place of a heap's id: the page's thread has ended, and whoever wants it may take it. */
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
 *   |words|empty page    |direct table 129 * 4|counters|bound|queues 80 * 16  |
 *   +-----+--------------+--------------------+--------+-----+----------------+
 *
 * Offsets stay below 1024 because binaryen folds only such constants into a load.
 */
export const H_ID: u32 = 0;
export const H_HEARTBEAT: u32 = 4;
export const H_RETIRE_MIN: u32 = 8;
export const H_RETIRE_MAX: u32 = 12;
/** Warm frees left until the next heartbeat; see pageEmptied. */
export const H_WARM: u32 = 16;
export const H_PAGES: u32 = 20;
/** Of a shared heap only, down to H_STATE. Word of the free bitmap where a search begins. */
export const H_HINT: u32 = 24;
/** Slice where the next search for abandoned pages begins. */
export const H_ABANDONED_AT: u32 = 28;
/** The full page that the poll looks at next, or 0. */
export const H_POLL: u32 = 32;
/** Not 0: other threads have freed blocks of small pages; set by them. */
export const H_REMOTE: u32 = 36;
/** As H_REMOTE for medium pages. */
export const H_REMOTE_MEDIUM: u32 = 40;
/** The id of the backing heap; 0 in a backing heap, and in every area that is free. */
export const H_OF: u32 = 44;
/** In the first area of a slice of areas: the next such slice, or 0. Not in a shared state. */
export const H_AREAS: u32 = 48;
/** Not 0: the heap has a budget or an arena. */
export const H_LIMITED: u32 = 52;
/** Ticket of the thread that recovers this area. */
export const H_RECOVERER: u32 = 56;
/** `thread << 2 | AREA_*`. */
export const H_STATE: u32 = 60;
/** A page without blocks: what direct entries of empty queues point at. */
export const H_EMPTY: u32 = 64;
export const H_DIRECT: u32 = 128;
/** Counters of statistics, COUNT_WORDS of them: see counts.ts. */
export const H_COUNTS: u32 = 644;
/** Of a heap with H_LIMITED: the most slices that its pages may have, 0 = any number. */
export const H_MOST: u32 = 704;
/** Slices of its pages; in a shared state also large ones that other threads have freed. */
export const H_HELD: u32 = 708;
/** Record of the arena that it allocates from, or 0. */
export const H_ARENA: u32 = 712;
export const H_QUEUES: u32 = 768;
export const WARM_MAX: u32 = 256;
/** A hardened build has no direct table; in its place: the random context (chacha.ts), … */
export const H_RANDOM: u32 = 128;
/** … and 64 words in which an extension is shuffled. */
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
/** One past the highest slice that was ever ours. */
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
/** Of a shared state only, down to S_ABANDONED. The id of the heap that grows the memory, or 0. */
export const S_GROWER: u32 = 36;
/** The last thread that was given to a thread. */
export const S_THREAD_IDS: u32 = 40;
/** How often a thread has come. */
export const S_ATTACHES: u32 = 44;
/** 0: there is no abandoned page. */
export const S_ABANDONED: u32 = 48;
/** The heartbeats of threads that have ended. */
export const S_HEARTBEAT: u32 = 52;
/** The newest slice of areas of first-class heaps, or 0. Not in a shared state. */
export const S_AREAS: u32 = 56;
export const S_SPANS: u32 = 64;
export const S_CHUNKS: u32 = 320;
export const SPAN_BINS: u32 = 64;
/** Ticks so far: the clock of purges, see purge.ts. */
export const S_TICK: u32 = 832;
/** Ticks from a free to its purge, plus 1; 0 = nothing is ever purged. */
export const S_PURGE_DELAY: u32 = 836;
/** Ticks that another free puts a purge off by. */
export const S_PURGE_EXTEND: u32 = 840;
/** By how much longer an arena waits. */
export const S_PURGE_MULT: u32 = 844;
/** What a purge asks the host for: PAGES_DECOMMIT, PAGES_RESET or PAGES_ZERO. */
export const S_PURGE_HOW: u32 = 848;
/** No purge is due before this tick; 0 = none is planned. */
export const S_PURGE_NEXT: u32 = 852;
/** Not 0: what is not dirty must be committed before anybody touches it. */
export const S_COMMIT_NEEDED: u32 = 856;
/** Slices that are committed: taken into use and not purged since. */
export const S_COMMITTED: u32 = 860;
export const S_COMMITTED_PEAK: u32 = 864;
/** How often the host was asked to commit, and has decommitted or zeroed, or reset, a run. */
export const S_COMMITS: u32 = 868;
export const S_PURGES: u32 = 872;
export const S_RESETS: u32 = 876;
/** Slices that all these purges, or resets, together were of. */
export const S_PURGED: u32 = 880;
export const S_RESET: u32 = 884;
/** Address of the arenas' slice; 0: there is none. */
export const S_ARENAS: u32 = 888;
/** Arenas that were ever made. */
export const S_ARENA_COUNT: u32 = 892;
/** Passes of the generic path in a tick, a power of two: about a millisecond of allocation. */
export const TICK_BEATS: u32 = 4096;

/** What the core asks the host to do with a range of whole slices. */
export const PAGES_COMMIT: u32 = 0;
export const PAGES_DECOMMIT: u32 = 1;
export const PAGES_RESET: u32 = 2;
export const PAGES_ZERO: u32 = 3;

/** Flags of heapInit: the memory is zero; it must be committed before use. */
export const INIT_ZEROED: u32 = 1;
export const INIT_COMMITS: u32 = 2;
/** Of a hardened build only, down to the end. Bits HARD_*: the features that are on. */
export const S_HARDENING: u32 = 1008;
/** Two random words, from which keys of pages are made. */
export const S_SECRET: u32 = 1012;
export const S_SECRET_2: u32 = 1016;
/** Bytes of a page that the source can protect, or 0. */
export const S_GUARD: u32 = 1020;
/** What the counters of all heaps added up to when statistics were reset. */
export const S_COUNTS: u32 = 928;
/** How often the memory has grown, and the most threads that were attached; for the host. */
export const S_GROWTHS: u32 = 992;
export const S_THREADS_PEAK: u32 = 996;

// ---- the state slice --------------------------------------------------------------------------
export const STATE_HEAP: u32 = 0x400;
/**
 * Two bitmaps over slices, their words in turns, so that small memories touch one page of both.
 * Dirty: 1 = the slice may hold something else than zeros.
 */
export const STATE_DIRTY: u32 = 0xc00;
/** Starts: 1 = a page begins here. */
export const STATE_STARTS: u32 = 0xc04;
/**
 * For each chunk the tick when its free slices are purged, or 0, and the tick beyond which that is
 * not put off.
 */
export const STATE_PURGE: u32 = 0x6c00;
export const PURGE_SHIFT: u32 = 3;
export const PURGE_LIMIT: u32 = 4;
/** What is counted of blocks while somebody watches: see observe.ts. */
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
/** The first areas are where the bitmap of abandoned pages is. */
export const AREA_FIRST: u32 = 4;
export const AREA_COUNT: u32 = 128;
/** What stands in the low two bits of H_STATE. */
export const AREA_FREE: u32 = 0;
export const AREA_LIVE: u32 = 1;
export const AREA_RECOVERING: u32 = 2;
export const THREAD_ID_MAX: u32 = 0x3fffffff;

/*
 * ---- hardening (docs/hardening.md) --------------------------------------------------------------
 *
 * With padding or canary, each block ends with a record:
 *
 *   block       p                    p + size            record
 *   +-----------+--------------------+---------------+--------+-------+
 *   | alignment | the user's bytes   | slack         | canary | slack |   canary = seal of p, or
 *   |           |                    | DE DE DE …    |        | bytes |   its complement: freed
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
/** Bytes of slack that are written and looked at. */
export const SLACK_MAX: u32 = 16;
export const FILL_FRESH: u32 = 0xd0;
export const FILL_FREED: u32 = 0xdf;
export const FILL_SLACK: u32 = 0xde;
/** The least blocks of a shuffled extension. */
export const SHUFFLE_MIN: u32 = 32;
/** Most runs in which an extension is shuffled. */
export const SHUFFLE_RUNS: u32 = 64;

/** What a hardened core reports; the numbers behind a kind are a, b. */
/** Block, its bytes. */
export const REPORT_DOUBLE_FREE: u32 = 1;
/** Pointer, its bytes, bytes up to the first that is wrong. */
export const REPORT_OVERFLOW: u32 = 2;
/** Block, its bytes, where it leads. */
export const REPORT_FREE_LIST: u32 = 3;
/** Pointer, call (CALL_*): not aligned to 8; in no block; inside one. */
export const REPORT_UNALIGNED: u32 = 4;
export const REPORT_FOREIGN: u32 = 5;
export const REPORT_INTERIOR: u32 = 6;
export const CALL_FREE: u32 = 0;
export const CALL_USABLE_SIZE: u32 = 1;
export const CALL_REALLOC: u32 = 2;
// ---- error codes, as errno numbers them -------------------------------------------------------
export const EAGAIN: u32 = 11;
export const ENOMEM: u32 = 12;
/** A list of freed blocks is damaged. */
export const EFAULT: u32 = 14;
export const EINVAL: u32 = 22;
export const EOVERFLOW: u32 = 75;
/** No errno: operator new has no memory and asks what to do. */
export const NEW_FAILED: u32 = 4108;
/** No errno: the host may free now what it has put off; with size 1 it shall free all of it. */
export const DEFERRED_FREE: u32 = 4109;
/** No errno: the block whose address comes as size has been allocated; see observe.ts. */
export const ALLOCATED: u32 = 4112;
/** No errno: … is going to be freed. */
export const FREED: u32 = 4113;
/** No errno: … was resized where it stands. */
export const RESIZED: u32 = 4114;
/** No errno: the page whose descriptor comes as size is going with all its blocks. */
export const PAGE_GONE: u32 = 4115;

/** What pointerCheck answers. */
export const PTR_BLOCK: u32 = 0;
export const PTR_FOREIGN: u32 = 1;
export const PTR_INTERIOR: u32 = 2;
/** Only inside of a hardened core: a block of a medium page that is free. */
export const PTR_FREED: u32 = 3;
