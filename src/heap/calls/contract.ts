/** What the calls and C names of a heap need of its other parts. */
import type { RuntimeOption } from "../../common/runtime-options.ts";
import type { HeapStats } from "../stats/numbers.ts";
import type { ProcessInfo } from "../stats/process-info.ts";
import type { AreaVisitor, BlockVisitor } from "../stats/walk.ts";

/** Which build of the core serves a heap: WebAssembly or JavaScript. */
export type BackEnd = "wasm" | "js";

/** A function for the import object of a wasm module. Numbers come signed from WebAssembly. */
export type AbiFunction = (...args: number[]) => number | undefined | void;

/** Options of every arena. */
export interface ArenaOptions {
  /** Only heaps that are made for the arena allocate from it. Default: false. */
  exclusive?: boolean | undefined;
  /** The NUMA node of its memory, whose threads use it first. Default: none. */
  numaNode?: number | undefined;
}

/** Options of `reserveMemory`. */
export interface ReserveOptions extends ArenaOptions {
  /** Commits all of it at once, where memory must be committed. Default: false. */
  commit?: boolean | undefined;
}

/** Options of `manageMemory`. */
export interface ManageOptions extends ArenaOptions {
  /** Where memory must be committed: whether it is. Default: true. */
  committed?: boolean | undefined;
  /** Whether all of it is zero. Default: false. */
  zeroed?: boolean | undefined;
  /** Whether it is never given back, as huge pages. Default: false. */
  pinned?: boolean | undefined;
}

/** Options of `reserveHugePages`. */
export interface HugePageOptions extends ArenaOptions {
  /** Milliseconds after which the pages that are there suffice; 0 = no limit. Default: 0. */
  timeout?: number | undefined;
}

/** Where an arena lies, in bytes. */
export interface ArenaArea {
  /** Its first byte, a multiple of 64 KiB. */
  address: number;
  /** Its length, a multiple of 64 KiB. */
  bytes: number;
}

/** The arenas of one memory; their ids count from 1. */
export interface ArenaCalls {
  reserve(bytes: number, options?: ReserveOptions): number;
  manage(address: number, bytes: number, options?: ManageOptions): number;
  hugePages(pages: number, options?: HugePageOptions): { arena: number; pages: number };
  area(id: number): ArenaArea | undefined;
  picture(): string;
  /** NUMA nodes of the memory, 1 where it has none. */
  readonly nodes: number;
}

/**
 * C's allocation functions with their types, for the import object of a wasm module. Numbers come
 * signed from WebAssembly; a request that cannot be met returns 0, as in C.
 */
export interface CFunctions {
  /** A block of at least `size` bytes, aligned to 16. */
  readonly malloc: (size: number) => number;
  /** A block of `count * size` zero bytes. */
  readonly calloc: (count: number, size: number) => number;
  /** Resizes a block, moving it if need be; a null pointer allocates. */
  readonly realloc: (p: number, size: number) => number;
  /** `realloc` to `count * size` bytes. */
  readonly reallocarray: (p: number, count: number, size: number) => number;
  /** Frees a block; null is ignored. */
  readonly free: (p: number) => void;
  /** C23's: frees a block that was allocated with `size` bytes. */
  readonly free_sized: (p: number, size: number) => void;
  /** C23's: frees a block that was allocated with `size` bytes at a multiple of `alignment`. */
  readonly free_aligned_sized: (p: number, alignment: number, size: number) => void;
  /** A block at a multiple of `alignment`, a power of two. */
  readonly memalign: (alignment: number, size: number) => number;
  /** C11's name of `memalign`. */
  readonly aligned_alloc: (alignment: number, size: number) => number;
  /** Stores the address of an aligned block in the word at `out`; returns 0, or an errno. */
  readonly posix_memalign: (out: number, alignment: number, size: number) => number;
  /** Bytes that a block can hold; 0 for null. */
  readonly malloc_usable_size: (p: number) => number;
  /** A copy of the NUL-terminated string at p. */
  readonly strdup: (p: number) => number;
  /** A NUL-terminated copy of at most `max` bytes of the string at p. */
  readonly strndup: (p: number, max: number) => number;
}

/** What the statistics and settings of a heap are to C programs. */
export interface StatsSource {
  stats(): HeapStats;
  statsText(): string;
  /** As `visitBlocks`, for the blocks of one heap. */
  visit(heap: number, areas: AreaVisitor, blocks: BlockVisitor | undefined): boolean;
  /** Ends the sub-heaps of this thread, whose blocks the backing heap takes over. */
  threadDone(): void;
  /** A process option has been set: the heap takes it too if it is about purges. */
  optionSet(name: RuntimeOption): void;
  resetStats(): void;
  printStats(): void;
  processInfo(): ProcessInfo;
}

/** What the C names need besides the core. */
export interface AbiHost {
  readonly statistics: StatsSource;
  readonly arenas: ArenaCalls;
  readonly events: CallbackHost;
}

/** Where functions of a program are registered. */
export interface CallbackHost extends HeapHost {
  handler: ((code: number, value: number, text: string) => void) | undefined;
  deferred: ((force: boolean, heartbeat: number) => void) | undefined;
}

/** What the heaps of one thread share. */
export interface HeapHost {
  /** Called for every request of `new` that fails for good. */
  newFails(size: number): void;
  /** What `new` calls when memory is out. */
  newHandler: (() => void) | undefined;
  /** The memory as it is now. */
  bytes(): Uint8Array;
  /** Whether the heaps of the memory have the slice in which an address lies. */
  owns(address: number): boolean;
  /** In messages: 0 = the thread that made the memory. */
  thread: number;
}
