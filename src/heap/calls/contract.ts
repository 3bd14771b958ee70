/** What the C names of a heap stand on, so that they know neither the heap nor its parts. */
import type { ProcessInfo } from "../stats/process-info.ts";

export type BackEnd = "wasm" | "js";

export type AbiFunction = (...args: number[]) => number | undefined | void;

export interface ArenaOptions {
  /** Only heaps that are made for the arena allocate from it. Default: false. */
  exclusive?: boolean | undefined;
  /** The NUMA node of its memory, whose threads use it first. Default: none. */
  numaNode?: number | undefined;
}

export interface ReserveOptions extends ArenaOptions {
  /** Commits all of it at once, where memory must be committed. Default: false. */
  commit?: boolean | undefined;
}

export interface ManageOptions extends ArenaOptions {
  /** Where memory must be committed: whether it is. Default: true. */
  committed?: boolean | undefined;
  /** Whether all of it is zero. Default: false. */
  zeroed?: boolean | undefined;
}

export interface HugePageOptions extends ArenaOptions {
  /** Milliseconds after which what has been got is enough; 0 = none. Default: 0. */
  timeout?: number | undefined;
}

/** Where an arena lies, in bytes. */
export interface ArenaArea {
  address: number;
  bytes: number;
}

/** The arenas of one memory; their ids count from 1. */
export interface ArenaCalls {
  reserve(bytes: number, options?: ReserveOptions): number;
  manage(address: number, bytes: number, options?: ManageOptions): number;
  hugePages(pages: number, options?: HugePageOptions): { arena: number; pages: number };
  area(id: number): ArenaArea | undefined;
  picture(): string;
}

/** What the C names need besides the core. */
export interface AbiHost {
  readonly heap: {
    newNothrow(size: number): number;
    newAlignedNothrow(size: number, alignment: number): number;
    realpath(path: number, into: number): number;
    statsReset(): void;
    printStats(): void;
    processInfo(): ProcessInfo;
  };
  readonly arenas: ArenaCalls;
  /** The memory as it is now. */
  bytes(): Uint8Array;
  /** Calls the new-handler, or throws when there is none. */
  newFailed(size: number): void;
}
