/** What the allocator's calls need of the store of blocks, for one thread or for many. */
import type { LeakGroup } from "../report/mistakes.ts";
import type { AlignmentRequest, Block } from "./block.ts";
import type { Finder, FreedHistory } from "./contract.ts";
import type { ZoneChecks } from "./zone-checks.ts";

/** What changes of a block that is resized; without `align` it keeps its alignment. */
export interface Resize {
  readonly size: number;
  readonly align?: AlignmentRequest | undefined;
}

/** The heap that a new block belongs to, and the stacks that its reports show. */
export interface Origin {
  readonly heap: number;
  readonly allocated: number;
  readonly resized: number;
}

/** Stacks are numbers. Reports collect in `checks` until the call is over. */
export interface BlockStore {
  /** Whether this thread gives everything back at the end, and reports leaks. */
  readonly isMaker: boolean;
  readonly table: Finder;
  readonly history: FreedHistory;
  readonly checks: ZoneChecks;
  /** Live blocks. */
  readonly live: number;
  /** Bytes that were requested for live blocks. */
  readonly requested: number;
  /** Bytes of memory that are held. */
  readonly resident: number;
  /** Bytes of metadata. May walk over the pages. */
  readonly overhead: number;
  /** The most that `requested` may be. */
  limit: number;
  /** Returns a block, or 0 if memory is out or the limit is reached. */
  allocate(size: number, align: AlignmentRequest, heap: number, stack: number): number;
  /** Frees a live block; returns false if another thread has freed it meanwhile. */
  free(block: Block, stack: number): boolean;
  /**
   * Makes a live block `size` bytes long. Returns 0 if it cannot, and leaves the block as it is.
   */
  resize(block: Block, change: Resize, heap: number, stack: number): number;
  /** Resizes a block in place. Returns 0 if its memory ends too early. */
  expand(block: Block, size: number, stack: number): number;
  /** Whether a block may stay where it is: in the same class, or in a run that is half full. */
  fits(block: Block, change: Resize): boolean;
  /** Checks all zones and all poison. `atRest`: no other thread uses the allocator any more. */
  check(stack: number, atRest?: boolean): void;
  /** Live blocks, grouped by the stacks that allocated them. */
  leaks(): LeakGroup[];
  /** The live blocks of a heap. */
  of(heap: number): Block[];
  /** Gives back what quarantine holds, and pages without live blocks. */
  collect(stack: number): void;
  /** Gives everything back, live blocks too. The store is as new afterwards. */
  clear(): void;
}

/** The origin of the block that a resized block moves to. */
export function movedOrigin(
  block: Block,
  { heap, stack, resizeStackTraces }: { heap: number; stack: number; resizeStackTraces: boolean },
): Origin {
  if (!resizeStackTraces) return { heap, allocated: stack, resized: 0 };
  return { heap, allocated: block.allocated, resized: stack };
}
