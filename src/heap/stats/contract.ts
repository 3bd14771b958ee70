/** What statistics and samples share, so that the files of this part need not import each other. */
import type { CoreExports } from "../../core/contract.ts";

/**
 * How much a heap counts: 0 = what costs nothing; 1 = also bytes and blocks of three kinds of
 * sizes; 2 = also size classes, and the bytes that requests asked for.
 */
export type StatsLevel = 0 | 1 | 2;

/** The free block that a free block of a page leads to, or 0. */
export type BlockNext = (page: number, block: number) => number;

/** A heap to what observes it: its core and its memory, as they are now. */
export interface ObservedHeap {
  /** Of a heap that has ended: one whose functions throw. */
  readonly core: CoreExports;
  /** Address of the heap's state. */
  readonly state: number;
  /** This thread's id; 0 where there is only one thread. */
  thread(): number;
  words(): Uint32Array;
  /** How a hardened heap reads its free lists; undefined in an unhardened one. */
  next(): BlockNext | undefined;
}

/** A sampler to the observers: see sampler.ts. */
export interface AllocationListener {
  /** Bytes until it wants to hear of an allocation; the core counts down for it if it can. */
  left: number;
  /** Whether it wants to hear of frees. */
  readonly frees: boolean;
  allocated(ptr: number, size: number): void;
  freed(ptr: number): void;
}

/** The observers of a heap to the heap. */
export interface HeapObservers {
  readonly level: StatsLevel;
  /** An event of the core; returns whether it was for the observers. */
  event(code: number, value: number): boolean;
}
