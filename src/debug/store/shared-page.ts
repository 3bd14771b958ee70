/**
 * Pages and blocks of threads that share a heap, as views of the shared state.
 *
 *   page  | next page | base | bytes | raw | asked | slot | count | handed out | holds | stage |
 *         | thread | class | a row of 8 words for each slot |
 *   row   | size | state | allocated | resized | freed | order | address | heap |
 *
 * holds = live slots + 1 while its thread hands out slots + 1 for each thread that checks it. The
 * thread that releases the last hold retires the page: 0 <= live <= handed out <= count.
 */
import {
  type AlignmentRequest,
  type Block,
  type FreedState,
  frontZoneBytes,
  type Item,
  type NewBlock,
  type Run,
} from "./block.ts";
import type { SharedState } from "./shared-state.ts";

const BASE = 1;
const BYTES = 2;
const RAW = 3;
const ASKED = 4;
const SLOT = 5;
const COUNT = 6;
const NEXT = 7;
const HOLDS = 8;
const STAGE = 9;
const THREAD = 10;
const KIND = 11;
const ROWS = 12;
const ROW = 8;

/** The memory was given back. */
export const GONE = 0;
const USED = 1;
/** No slot is in use or will be; the memory is in quarantine. */
export const RETIRED = 2;
type PageStage = typeof GONE | typeof USED | typeof RETIRED;

export function pageWords(count: number): number {
  return ROWS + count * ROW;
}

/** How often a thread checks whether another one has released a block, before it gives up. */
const ATTEMPTS = 2 ** 22;

export class SharedPage implements Item {
  readonly state: SharedState;
  /** The index of its first word. */
  readonly at: number;

  constructor(state: SharedState, at: number) {
    this.state = state;
    this.at = at;
  }

  /** Fills the record of a new run, held by the thread that will hand out its slots. */
  init(run: Run, facts: { slot: number; count: number; kind: number; thread: number }): void {
    const { words } = this.state;
    const { slot, count, kind, thread } = facts;
    const values = [run.base, run.bytes, run.raw, run.asked, slot, count, 0, 1, USED, thread, kind];
    words.fill(0, this.at + ROWS, this.at + pageWords(count));
    for (const [index, value] of values.entries()) Atomics.store(words, this.at + 1 + index, value);
  }

  get run(): Run {
    return {
      base: this.#get(BASE),
      bytes: this.#get(BYTES),
      raw: this.#get(RAW),
      asked: this.#get(ASKED),
    };
  }
  get slot(): number {
    return this.#get(SLOT);
  }
  get count(): number {
    return this.#get(COUNT);
  }
  get next(): number {
    return this.#get(NEXT);
  }
  get base(): number {
    return this.#get(BASE);
  }
  get end(): number {
    return this.base + this.next * this.slot;
  }
  get freedState(): FreedState {
    return "poisoned";
  }
  get thread(): number {
    return this.#get(THREAD);
  }
  /** Takes the record from its thread; returns false if another thread has done so. */
  disown(): boolean {
    const { words } = this.state;
    const { thread } = this;
    return thread !== 0 && Atomics.compareExchange(words, this.at + THREAD, thread, 0) === thread;
  }
  get kind(): number {
    return this.#get(KIND) | 0;
  }
  get stage(): PageStage {
    return this.#get(STAGE) as PageStage;
  }
  set stage(stage: PageStage) {
    Atomics.store(this.state.words, this.at + STAGE, stage);
  }
  get isIdle(): boolean {
    return this.#get(HOLDS) === 1;
  }
  get area() {
    const { count, slot, end, base } = this;
    return { reserved: count * slot, committed: end - base, blockSize: slot };
  }

  /** Hands out the next slot, with a hold. Only for the page's own thread. */
  nextSlot(): SharedSlot {
    const { words } = this.state;
    Atomics.add(words, this.at + HOLDS, 1);
    return new SharedSlot(this, Atomics.add(words, this.at + NEXT, 1));
  }

  /** Keeps the page from being retired; returns false if it is retired already. */
  hold(): boolean {
    const { words } = this.state;
    for (;;) {
      const holds = Atomics.load(words, this.at + HOLDS);
      if (holds === 0) return false;
      if (Atomics.compareExchange(words, this.at + HOLDS, holds, holds + 1) === holds) return true;
    }
  }

  /** Returns whether that was the last hold. */
  releaseHold(): boolean {
    return Atomics.sub(this.state.words, this.at + HOLDS, 1) === 1;
  }

  /** Adds the stacks that its slots refer to. */
  stacksAdd(stacks: Set<number>): void {
    const { count } = this;
    for (let index = 0; index < count; index++) {
      const row = this.at + ROWS + index * ROW;
      for (const field of [ALLOCATED, RESIZED, FREED]) stacks.add(this.state.get(row + field));
    }
  }

  /** The slot that covers an address, if it was ever handed out. */
  slotAt(address: number): SharedSlot | undefined {
    const { base } = this;
    const index = Math.floor((address - base) / this.slot);
    if (this.stage === GONE || address < base || index >= this.next) return undefined;
    const slot = new SharedSlot(this, index);
    return slot.isMade ? slot : undefined;
  }

  *blocks(): Generator<SharedSlot> {
    const { next } = this;
    for (let index = 0; index < next; index++) {
      const slot = new SharedSlot(this, index);
      if (slot.isMade) yield slot;
    }
  }

  #get(field: number): number {
    return this.state.get(this.at + field);
  }
}

const SIZE = 0;
const SLOT_STATE = 1;
const ALLOCATED = 2;
const RESIZED = 3;
const FREED = 4;
const ORDER = 5;
const PTR = 6;
const HEAP = 7;

/** States of a slot, in this order, or from BUSY back to LIVE. The alignment is in higher bits. */
const LIVE = 1;
const BUSY = 2;
const FREE = 3;
const ALIGNMENT_SHIFT = 8;

export class SharedSlot implements Block {
  readonly page: SharedPage;
  readonly from: number;
  readonly #row: number;
  readonly #state: SharedState;

  constructor(page: SharedPage, index: number) {
    this.page = page;
    this.#state = page.state;
    this.from = page.base + index * page.slot;
    this.#row = page.at + ROWS + index * ROW;
  }

  get to(): number {
    return this.from + this.page.slot;
  }
  get limit(): number {
    return this.to;
  }
  get freedState(): FreedState {
    return "poisoned";
  }
  get ptr(): number {
    return this.#get(PTR);
  }
  get size(): number {
    return this.#get(SIZE);
  }
  get alignment(): number {
    return 2 ** (this.#get(SLOT_STATE) >>> ALIGNMENT_SHIFT);
  }
  get isMade(): boolean {
    return this.#get(SLOT_STATE) !== 0;
  }
  /** True also while a thread has claimed the block. */
  get live(): boolean {
    const stage = this.#get(SLOT_STATE) & 3;
    return stage === LIVE || stage === BUSY;
  }
  get allocated(): number {
    return this.#get(ALLOCATED);
  }
  get resized(): number {
    return this.#get(RESIZED);
  }
  get freed(): number {
    return this.#get(FREED);
  }
  get order(): number {
    return this.#get(ORDER);
  }
  get heap(): number {
    return this.#get(HEAP);
  }
  set heap(heap: number) {
    this.#set(HEAP, heap);
  }

  /** Sets the address of the block before the block exists. */
  setPtr(align: AlignmentRequest): void {
    this.#set(PTR, this.from + frontZoneBytes(align));
  }

  /** Fills all words but the one that makes it a block, which `publish` writes. */
  allocate({ size, allocated, resized, order, heap }: NewBlock): void {
    this.#set(SIZE, size);
    this.#set(ALLOCATED, allocated);
    this.#set(RESIZED, resized);
    this.#set(FREED, 0);
    this.#set(ORDER, order);
    this.#set(HEAP, heap);
  }

  publish(alignment: number): void {
    const word = ((31 - Math.clz32(alignment)) << ALIGNMENT_SHIFT) | LIVE;
    this.#set(SLOT_STATE, word);
  }

  resize(size: number, stack: number): void {
    this.#set(SIZE, size);
    if (stack !== 0) this.#set(RESIZED, stack);
  }

  free(stack: number, order: number): void {
    this.#set(FREED, stack);
    this.#set(ORDER, order);
  }

  /**
   * Claims a live block for this thread; returns false if it is free. Spins while another thread
   * has claimed it.
   */
  claim(): boolean {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const word = this.#get(SLOT_STATE);
      const stage = word & 3;
      if (stage === FREE || stage === 0) return false;
      if (stage === BUSY) continue;
      if (this.#swap(word, word - LIVE + BUSY)) return true;
    }
    return false; // the thread that claimed it has ended
  }

  /** Ends a claim; `isFree` if the block was freed. */
  release(isFree: boolean): void {
    const word = this.#get(SLOT_STATE);
    this.#set(SLOT_STATE, word - BUSY + (isFree ? FREE : LIVE));
  }

  #swap(from: number, to: number): boolean {
    const { words } = this.#state;
    return Atomics.compareExchange(words, this.#row + SLOT_STATE, from, to) === from;
  }

  #get(field: number): number {
    return this.#state.get(this.#row + field);
  }

  #set(field: number, value: number): void {
    this.#state.set(this.#row + field, value);
  }
}
