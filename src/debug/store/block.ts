/**
 * The nouns. All of this lives in JavaScript, outside the memory that the program writes to, so no
 * stray write can reach it.
 *
 *   page    a run of the backing allocator, cut into slots of one size
 *   slot    | front zone | the user's bytes | rear zone |
 *   large   a block with a run of its own, zones included
 *
 * The front zone is 16 bytes, or the alignment if that is more; the rear zone goes from the end of
 * what was asked for to the end of the slot, 8 bytes at least. Slots are handed out in order, each
 * once: 0 <= live <= next <= count. A page with next = count and live = 0 is retired.
 */

import type { BlockFacts } from "../report/mistakes.ts";
import type { Run } from "./backing.ts";
import type { FreedState } from "./freed-memory.ts";

/** Least bytes behind a block. */
export const REAR = 8;
const FRONT = 16;
/** Largest part of a front zone that is written and looked at. */
const FRONT_CHECKED = 64;

/** Where a block is wanted: (address + offset) is a multiple of the alignment. */
export interface AlignmentRequest {
  readonly alignment: number;
  readonly offset: number;
}

/** malloc's. */
export const NATURAL: AlignmentRequest = { alignment: FRONT, offset: 0 };

/** The place that a block was given. */
export function alignmentOf({ ptr, alignment }: BlockFacts): AlignmentRequest {
  return { alignment, offset: (alignment - (ptr % alignment)) % alignment };
}

export function isAligned(ptr: number, { alignment, offset }: AlignmentRequest): boolean {
  return (ptr + offset) % alignment === 0;
}

/** Bytes in front of a block. */
function frontOf(alignment: number): number {
  return alignment > FRONT ? alignment : FRONT;
}

/** frontOf and what an offset moves a block by; its run begins at a multiple of the alignment. */
export function frontZoneBytes({ alignment, offset }: AlignmentRequest): number {
  return frontOf(alignment) + ((alignment - (offset % alignment)) % alignment);
}

/** A page, or the run of a large block. */
export interface Item {
  readonly run: Run;
  readonly base: number;
  /** First byte behind what was handed out. */
  readonly end: number;
  readonly freedState: FreedState;
  /** For people who look at memory; bytes. */
  readonly area: { reserved: number; committed: number; blockSize: number };
  blocks(): Iterable<Block>;
}

/** A block, small or large, as the allocator's code sees it. */
export interface Block extends BlockFacts {
  /** Changes with every allocation and free: tells a block from its successor. */
  readonly order: number;
  /** First byte of the front zone, and first byte behind the rear zone. */
  readonly from: number;
  readonly to: number;
  /** First byte that it cannot have by growing where it is. */
  readonly limit: number;
  /** What its memory is like once it is free. */
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

/** First byte of the front zone that is looked at. */
export function checkedFrom(block: Block): number {
  return Math.max(block.from, block.ptr - FRONT_CHECKED);
}

// A row of six words for each slot: 24 bytes of metadata a block.
const ROW = 6;
const SIZE = 0;
/** The alignment as a power of two, whether the slot is used, and from HEAP_SHIFT on the heap. */
const STATE = 1;
const ALLOCATED = 2;
const RESIZED = 3;
const FREED = 4;
const ORDER = 5;
const USED = 256;
const HEAP_SHIFT = 9;
/** Ids of heaps have the bits that are left. The first heap's is no null, for C. */
export const MAIN_HEAP = 1;
export const HEAPS_LIMIT = 2 ** 23 - 1;

/** What a page takes besides its rows: the objects, by the engine's sizes. */
const PAGE_OBJECTS = 328;

export class Page implements Item {
  readonly run: Run;
  /** Bytes of a slot, and the size class that it is of. */
  readonly slot: number;
  readonly kind: number;
  readonly count: number;
  /** Slots from here on were never handed out. */
  next = 0;
  live = 0;
  freedState: FreedState = "poisoned";
  released = 0;
  /** The order of the slot that is free for longest; Infinity if none is. */
  oldest: number = Number.POSITIVE_INFINITY;
  readonly rows: Uint32Array;

  constructor(run: Run, bytes: number, slot: number, kind: number) {
    this.run = run;
    this.slot = slot;
    this.kind = kind;
    this.count = Math.floor(bytes / slot);
    this.rows = new Uint32Array(this.count * ROW);
  }

  get base(): number {
    return this.run.base;
  }
  /** First byte behind the last slot that was handed out. */
  get end(): number {
    return this.base + this.next * this.slot;
  }

  get area() {
    const { count, slot, end, base } = this;
    return { reserved: count * slot, committed: end - base, blockSize: slot };
  }

  get metadataBytes(): number {
    return this.rows.byteLength + PAGE_OBJECTS;
  }

  /** The slot that covers an address, if it was ever handed out. */
  slotAt(address: number): Slot | undefined {
    const index = Math.floor((address - this.base) / this.slot);
    return index < this.next ? new Slot(this, index) : undefined;
  }

  isUsed(index: number): boolean {
    return ((this.rows[index * ROW + STATE] as number) & USED) !== 0;
  }

  /** The slot that is free for longest, to be used again; there is one. */
  slotAgain(): Slot {
    const free = [];
    for (let index = 0; index < this.next; index++) if (!this.isUsed(index)) free.push(index);
    free.sort((a, b) => this.#order(a) - this.#order(b));
    const [first, second] = free;
    this.oldest = second === undefined ? Number.POSITIVE_INFINITY : this.#order(second);
    return new Slot(this, first as number);
  }

  *blocks(): Generator<Slot> {
    for (let index = 0; index < this.next; index++) yield new Slot(this, index);
  }

  #order(index: number): number {
    return this.rows[index * ROW + ORDER] as number;
  }
}

/** A look at a row. Made for a call and dropped: what lasts is the row. */
export class Slot implements Block {
  readonly page: Page;
  readonly from: number;
  readonly #row: number;

  constructor(page: Page, index: number) {
    this.page = page;
    this.from = page.base + index * page.slot;
    this.#row = index * ROW;
  }

  get to(): number {
    return this.from + this.page.slot;
  }
  get limit(): number {
    return this.to;
  }
  get freedState(): FreedState {
    return this.page.freedState;
  }
  get ptr(): number {
    return this.from + frontOf(this.alignment);
  }
  get size(): number {
    return this.#word(SIZE);
  }
  get alignment(): number {
    return 2 ** (this.#word(STATE) & (USED - 1));
  }
  get live(): boolean {
    return (this.#word(STATE) & USED) !== 0;
  }
  get allocated(): number {
    return this.#word(ALLOCATED);
  }
  get resized(): number {
    return this.#word(RESIZED);
  }
  get freed(): number {
    return this.#word(FREED);
  }
  get order(): number {
    return this.#word(ORDER);
  }

  get heap(): number {
    return this.#word(STATE) >>> HEAP_SHIFT;
  }
  set heap(heap: number) {
    const low = this.#word(STATE) & (2 * USED - 1);
    this.page.rows[this.#row + STATE] = heap * 2 ** HEAP_SHIFT + low;
  }

  allocate({ size, alignment, allocated, resized, order, heap }: NewBlock): void {
    const { rows } = this.page;
    const row = this.#row;
    rows[row + SIZE] = size;
    rows[row + STATE] = heap * 2 ** HEAP_SHIFT + USED + (31 - Math.clz32(alignment));
    rows[row + ALLOCATED] = allocated;
    rows[row + RESIZED] = resized;
    rows[row + FREED] = 0;
    rows[row + ORDER] = order;
    this.page.live++;
  }

  resize(size: number, stack: number): void {
    this.page.rows[this.#row + SIZE] = size;
    if (stack !== 0) this.page.rows[this.#row + RESIZED] = stack;
  }

  free(stack: number, order: number): void {
    const { page } = this;
    page.rows[this.#row + STATE] = this.#word(STATE) - USED;
    page.rows[this.#row + FREED] = stack;
    page.rows[this.#row + ORDER] = order;
    page.live--;
    if (page.oldest > order) page.oldest = order;
  }

  #word(field: number): number {
    return this.page.rows[this.#row + field] as number;
  }
}

/** What a large block takes: the objects and its place in the table, by the engine's sizes. */
const LARGE_OBJECTS = 264;

export class Large implements Block, Item {
  readonly run: Run;
  readonly ptr: number;
  readonly alignment: number;
  size = 0;
  live = false;
  allocated = 0;
  resized = 0;
  freed = 0;
  order = 0;
  heap = 0;
  freedState: FreedState = "poisoned";
  released = 0;

  constructor(run: Run, align: AlignmentRequest) {
    this.run = run;
    this.alignment = align.alignment;
    this.ptr = run.base + frontZoneBytes(align);
  }

  get from(): number {
    return this.run.base;
  }
  get base(): number {
    return this.run.base;
  }
  get end(): number {
    return this.to;
  }
  get area() {
    const { bytes } = this.run;
    return { reserved: bytes, committed: bytes, blockSize: bytes };
  }
  /** Before the end of the run while whole pages behind the block are given back. */
  get to(): number {
    return this.limit - (this.freedState === "poisoned" ? this.released : 0);
  }
  get limit(): number {
    return this.run.base + this.run.bytes;
  }
  get metadataBytes(): number {
    return LARGE_OBJECTS;
  }

  allocate({ size, allocated, resized, order, heap }: NewBlock): void {
    this.size = size;
    this.live = true;
    this.allocated = allocated;
    this.resized = resized;
    this.order = order;
    this.heap = heap;
  }

  resize(size: number, stack: number): void {
    this.size = size;
    if (stack !== 0) this.resized = stack;
  }

  free(stack: number, order: number): void {
    this.live = false;
    this.freed = stack;
    this.order = order;
  }

  *blocks(): Generator<Large> {
    yield this;
  }
}
