/**
 * The blocks of a pool: where they are, which are free, and what of that is in the memory.
 *
 *   start                first            top          end
 *   +-------------------+----------------+------------+
 *   | state, 7 words    | blocks         | never used |     block: header of 8 bytes, then data
 *   +-------------------+----------------+------------+
 *
 *   blocks follow each other from `first` to `top`;  used + free == top - first
 *
 * The memory has everything that another instance must know: the state, and in each header the size
 * of the block and whether it is free. What makes calls fast (a bitmap of the blocks in use, the
 * free blocks in the order of their addresses) are JavaScript objects of one instance. A word in
 * the state counts changes, so that an instance notices changes of another one and reads the blocks
 * again. @thi.ng/malloc links both kinds of blocks in the memory: its free walks all blocks in use,
 * this one tests one bit.
 */
import type { MemPoolOpts } from "./api.ts";
import { FreeList } from "./freelist.ts";

/** Words of the state. */
const S_MARK = 0;
const S_TOP = 1;
const S_END = 2;
const S_ALIGN = 3;
const S_FLAGS = 4;
const S_MIN_SPLIT = 5;
const S_CHANGES = 6;
const STATE_BYTES = 28;

/** "PooL": the word S_MARK of a pool. */
const MARK = 0x4c6f6f50;
const FLAG_COMPACT = 1;
const FLAG_SPLIT = 2;

/** Bytes before the data: a word with the size of the whole block, and one that is FREE or 0. */
export const HEADER = 8;
const FREE = 1;

/** No index: a search found nothing. */
const NONE = -1;

function roundUp(bytes: number, align: number): number {
  return Math.ceil(bytes / align) * align;
}

function firstBlock(start: number, align: number): number {
  return roundUp(start + STATE_BYTES + HEADER, align) - HEADER;
}

/** The error for a range that cannot hold a pool. */
export function noSpace(start: number, end: number): RangeError {
  return new RangeError(`no space for a pool from ${start} to ${end}`);
}

export class Blocks {
  readonly #words: Uint32Array;
  readonly #state: Uint32Array;
  readonly #start: number;
  /** One bit for each 8 bytes of the memory: a block in use begins there. */
  readonly #used: Uint32Array;
  readonly #free = new FreeList();
  #usedCount = 0;
  /** S_CHANGES when the lists were read or changed last. */
  #seen = 0;

  constructor(buffer: ArrayBufferLike, start: number) {
    this.#words = new Uint32Array(buffer);
    this.#state = new Uint32Array(buffer, start, STATE_BYTES / 4);
    this.#used = new Uint32Array(Math.ceil(buffer.byteLength / 256));
    this.#start = start;
  }

  /** Makes an empty pool in the memory from `start` on. */
  begin(end: number, options: Pick<MemPoolOpts, "align" | "compact" | "split" | "minSplit">): void {
    const state = this.#state;
    const first = firstBlock(this.#start, options.align);
    if (first >= end) throw noSpace(this.#start, end);
    state[S_MARK] = MARK;
    state[S_TOP] = first;
    state[S_END] = end;
    state[S_ALIGN] = options.align;
    state[S_FLAGS] = (options.compact ? FLAG_COMPACT : 0) | (options.split ? FLAG_SPLIT : 0);
    state[S_MIN_SPLIT] = options.minSplit;
    this.#seen = state[S_CHANGES] as number;
    this.#changed();
  }

  /** Opens the pool that is in the memory. */
  join(): void {
    if (this.#state[S_MARK] !== MARK) {
      throw new RangeError(`skipInitialization: there is no pool at ${this.#start} of buf`);
    }
    this.#read();
  }

  /** Address of the first block, whose data is aligned. */
  get first(): number {
    return firstBlock(this.#start, this.#state[S_ALIGN] as number);
  }

  get top(): number {
    return this.#state[S_TOP] as number;
  }

  get end(): number {
    return this.#state[S_END] as number;
  }

  get usedCount(): number {
    return this.#usedCount;
  }

  get freeCount(): number {
    return this.#free.count;
  }

  get freeSize(): number {
    return this.#free.bytes;
  }

  /** Bytes of a block that holds `bytes`. */
  sizeFor(bytes: number): number {
    return roundUp(bytes + HEADER, this.#state[S_ALIGN] as number);
  }

  sizeOf(block: number): number {
    return this.#words[block >>> 2] as number;
  }

  isUsed(block: number): boolean {
    if (block % 8 !== 0 || !(block >= this.first && block < this.top)) return false;
    return (((this.#used[block >>> 8] as number) >>> ((block >>> 3) & 31)) & 1) !== 0;
  }

  /** Brings the lists up to date when another instance has changed the pool. */
  sync(): void {
    if (this.#state[S_CHANGES] !== this.#seen) this.#read();
  }

  /** The lowest free block that is large enough, else one at the top; 0 = no space. */
  take(size: number): number {
    const index = this.#fitFind(size);
    const block = index === NONE ? this.#takeTop(size) : this.#takeFree(index, size);
    if (block === 0) return 0;
    this.#useMark(block);
    this.#usedCount += 1;
    this.#changed();
    return block;
  }

  /** Frees a block in use. */
  give(block: number): void {
    this.#useUnmark(block);
    this.#usedCount -= 1;
    this.#freePut(block, this.sizeOf(block));
    this.#changed();
  }

  /** Resizes a block in use without moving it; false = that is not possible. */
  resize(block: number, size: number): boolean {
    const have = this.sizeOf(block);
    const atTop = block + have === this.top;
    if (size > have) {
      if (!atTop || block + size > this.end) return false;
      this.#headWrite(block, size, 0);
      this.#topSet(block + size);
    } else if (this.#isCut(have, size)) {
      this.#headWrite(block, size, 0);
      this.#freePut(block + size, have - size);
    }
    this.#changed();
    return true;
  }

  /** Frees all blocks. */
  clear(): void {
    this.#topSet(this.first);
    this.#forget();
    this.#changed();
  }

  #forget(): void {
    this.#used.fill(0);
    this.#free.clear();
    this.#usedCount = 0;
  }

  #changed(): void {
    this.#seen = (this.#seen + 1) >>> 0;
    this.#state[S_CHANGES] = this.#seen;
  }

  /** Makes the lists from the headers. */
  #read(): void {
    this.#forget();
    this.#seen = this.#state[S_CHANGES] as number;
    for (let block = this.first; block < this.top; block += this.sizeOf(block)) {
      const size = this.sizeOf(block);
      if (size < HEADER || size % 8 !== 0 || block + size > this.top) {
        throw new RangeError(`the block at ${block} of the pool is damaged`);
      }
      if (this.#words[(block >>> 2) + 1] === FREE) {
        this.#free.insert(this.#free.count, block, size);
      } else {
        this.#useMark(block);
        this.#usedCount += 1;
      }
    }
  }

  #topSet(top: number): void {
    this.#state[S_TOP] = top;
  }

  #headWrite(block: number, size: number, kind: number): void {
    this.#words[block >>> 2] = size;
    this.#words[(block >>> 2) + 1] = kind;
  }

  #useMark(block: number): void {
    this.#used[block >>> 8] = (this.#used[block >>> 8] as number) | (1 << ((block >>> 3) & 31));
  }

  #useUnmark(block: number): void {
    this.#used[block >>> 8] = (this.#used[block >>> 8] as number) & ~(1 << ((block >>> 3) & 31));
  }

  /** Index of the first free block that fits, or that can grow at the top; or NONE. */
  #fitFind(size: number): number {
    const index = this.#free.fit(size);
    if (index !== NONE || this.#free.count === 0) return index;
    const last = this.#free.count - 1;
    const block = this.#free.blockAt(last);
    const atTop = block + this.#free.sizeAt(last) === this.top;
    return atTop && block + size <= this.end ? last : NONE;
  }

  #takeFree(index: number, size: number): number {
    const block = this.#free.blockAt(index);
    const have = this.#free.sizeAt(index);
    const atTop = block + have === this.top;
    if (!atTop && this.#isCut(have, size)) {
      this.#headWrite(block, size, 0);
      this.#headWrite(block + size, have - size, FREE);
      this.#free.replace(index, block + size, have - size);
      return block;
    }
    this.#free.remove(index);
    this.#headWrite(block, atTop ? size : have, 0);
    if (atTop) this.#topSet(block + size);
    return block;
  }

  #takeTop(size: number): number {
    const block = this.top;
    if (block + size > this.end) return 0;
    this.#headWrite(block, size, 0);
    this.#topSet(block + size);
    return block;
  }

  /** Whether a block of `have` bytes is cut for a request of `size`. */
  #isCut(have: number, size: number): boolean {
    const splits = ((this.#state[S_FLAGS] as number) & FLAG_SPLIT) !== 0;
    return splits && have - size >= (this.#state[S_MIN_SPLIT] as number);
  }

  /** Adds a free block; with `compact` it joins its neighbours and the space above the top. */
  #freePut(block: number, size: number): void {
    const index = this.#free.indexFor(block);
    if (((this.#state[S_FLAGS] as number) & FLAG_COMPACT) !== 0) {
      this.#freeJoin(index, block, size);
    } else {
      this.#headWrite(block, size, FREE);
      this.#free.insert(index, block, size);
    }
  }

  #freeJoin(index: number, block: number, size: number): void {
    const free = this.#free;
    const before = index > 0 && free.blockAt(index - 1) + free.sizeAt(index - 1) === block;
    const after = index < free.count && free.blockAt(index) === block + size;
    const start = before ? free.blockAt(index - 1) : block;
    const end = block + size + (after ? free.sizeAt(index) : 0);
    if (before && after) free.remove(index);
    const at = before ? index - 1 : index;
    if (end === this.top) {
      if (before || after) free.remove(at);
      this.#topSet(start);
      return;
    }
    this.#headWrite(start, end - start, FREE);
    if (before || after) free.replace(at, start, end - start);
    else free.insert(at, start, end - start);
  }
}
