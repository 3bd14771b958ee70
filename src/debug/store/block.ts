/**
 * Blocks, and the runs of memory that they lie in. All metadata is in JavaScript, outside the
 * memory that the program writes to, so that no stray write can reach it.
 *
 *   page    a run of the backing allocator, cut into slots of one size
 *   slot    | front zone | the user's bytes | rear zone |
 *   large   a block with a run of its own, zones included
 *
 * The front zone has 16 bytes, or as many as the alignment if that is more. The rear zone reaches
 * from the end of the requested size to the end of the slot, and has 8 bytes at least.
 */
import type { BlockFacts } from "../report/mistakes.ts";

/** Bytes of a rear zone, at least. */
export const REAR = 8;
const FRONT = 16;
/** The most bytes of a front zone that are written and checked. */
const FRONT_CHECKED = 64;

/** Ids of heaps have 23 bits of a word of metadata. The first heap's is 1, since 0 is null in C. */
export const MAIN_HEAP = 1;
export const HEAPS_LIMIT = 2 ** 23 - 1;

/** Bytes from `base` on, a part of what the source returned as `raw`. */
export interface Run {
  readonly raw: number;
  readonly base: number;
  /** From base on. */
  readonly bytes: number;
  /** What was requested from the source. */
  readonly asked: number;
}

/**
 * The memory of freed blocks:
 *
 *   poisoned    holds 0xdd; the only state where pages cannot be given back
 *   zeroed      its physical memory is given back, and it reads as zero
 *   protected   any access traps in WebAssembly, and can end the process in JavaScript
 */
export type FreedState = "poisoned" | "zeroed" | "protected";

/** Which addresses a block may have: (address + offset) is a multiple of the alignment. */
export interface AlignmentRequest {
  /** A power of two. */
  readonly alignment: number;
  readonly offset: number;
}

/** The request of malloc. */
export const NATURAL: AlignmentRequest = { alignment: FRONT, offset: 0 };

/** The request that led to a block's address. */
export function alignmentOf({ ptr, alignment }: BlockFacts): AlignmentRequest {
  return { alignment, offset: (alignment - (ptr % alignment)) % alignment };
}

export function isAligned(ptr: number, { alignment, offset }: AlignmentRequest): boolean {
  return (ptr + offset) % alignment === 0;
}

/** Bytes of the front zone of a slot, whose block has no offset. */
export function slotFront(alignment: number): number {
  return alignment > FRONT ? alignment : FRONT;
}

/** Bytes of the front zone, in a run that begins at a multiple of the alignment. */
export function frontZoneBytes({ alignment, offset }: AlignmentRequest): number {
  return slotFront(alignment) + ((alignment - (offset % alignment)) % alignment);
}

/** Bytes of the run of a large block, zones included. */
export function largeBytes(size: number, align: AlignmentRequest): number {
  return Math.ceil((frontZoneBytes(align) + size + REAR) / 16) * 16;
}

/** A page, or the run of a large block. */
export interface Item {
  readonly run: Run;
  readonly base: number;
  /** The end of what was handed out, exclusive. */
  readonly end: number;
  readonly freedState: FreedState;
  /** What a walk over the heap reports; bytes. */
  readonly area: { reserved: number; committed: number; blockSize: number };
  blocks(): Iterable<Block>;
}

/** A block, small or large. */
export interface Block extends BlockFacts {
  /** Changes with every allocation and free: tells a block from the next one in its slot. */
  readonly order: number;
  /** First byte of the front zone. */
  readonly from: number;
  /** The end of the rear zone, exclusive. */
  readonly to: number;
  /** The end of what it can grow to in place, exclusive. */
  readonly limit: number;
  /** The state of its memory once it is freed. */
  readonly freedState: FreedState;
  /** The id of the heap that it belongs to. */
  heap: number;
  allocate(facts: NewBlock): void;
  resize(size: number, stack: number): void;
  free(stack: number, order: number): void;
}

export interface NewBlock {
  readonly size: number;
  readonly alignment: number;
  readonly allocated: number;
  readonly resized: number;
  readonly order: number;
  readonly heap: number;
}

/** First byte of the front zone that is checked. */
export function checkedFrom(block: Block): number {
  return Math.max(block.from, block.ptr - FRONT_CHECKED);
}
