/**
 * Pages of small blocks. Slots are handed out in order, each once: 0 <= live <= next <= count. A
 * page with next = count and live = 0 is retired.
 *
 *   row of a slot   | size | state | allocated | resized | freed | order |
 *   state           | heap, 23 bits | used, 1 bit | log2 of the alignment, 8 bits |
 */
import {
  type Block,
  type FreedState,
  type Item,
  type NewBlock,
  type Run,
  slotFront,
} from "./block.ts";

/** Words of a row: 24 bytes of metadata for each block. */
const ROW = 6;
const SIZE = 0;
const STATE = 1;
const ALLOCATED = 2;
const RESIZED = 3;
const FREED = 4;
const ORDER = 5;
const USED = 256;
const HEAP_SHIFT = 9;

/** Bytes of a page's objects, by the sizes that V8 gives them. */
const PAGE_OBJECTS = 328;

export class Page implements Item {
  readonly run: Run;
  /** Bytes of a slot. */
  readonly slot: number;
  /** The size class of its slots. */
  readonly kind: number;
  readonly count: number;
  /** Slots from here on were never handed out. */
  next = 0;
  live = 0;
  freedState: FreedState = "poisoned";
  /** Bytes of the run, from its end on, whose physical memory was given back. */
  released = 0;
  /** The lowest order among its free slots; Infinity if there are none. */
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

  /** The slot that was freed first, to be used again. The page must have a free slot. */
  takeOldestFree(): Slot {
    const free = [];
    for (let index = 0; index < this.next; index++) if (!this.#isUsed(index)) free.push(index);
    free.sort((a, b) => this.#order(a) - this.#order(b));
    const [first, second] = free;
    this.oldest = second === undefined ? Number.POSITIVE_INFINITY : this.#order(second);
    return new Slot(this, first as number);
  }

  *blocks(): Generator<Slot> {
    for (let index = 0; index < this.next; index++) yield new Slot(this, index);
  }

  #isUsed(index: number): boolean {
    return ((this.rows[index * ROW + STATE] as number) & USED) !== 0;
  }

  #order(index: number): number {
    return this.rows[index * ROW + ORDER] as number;
  }
}

/** A view of a row, made for one call: only the row lasts. */
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
    return this.from + slotFront(this.alignment);
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
