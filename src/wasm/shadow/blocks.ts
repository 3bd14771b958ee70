/**
 * The checked heap: blocks with red zones, freed blocks in quarantine. Its metadata is outside the
 * program's memory, where the program's mistakes cannot damage it.
 *
 *   chunk                ptr              ptr + size                      chunk + chunk size
 *   │ red zone, ≥ 32     │ the block      │ red zone, ≥ 32                │
 */
import type { Block, BlockTable, Near } from "./block-table.ts";
import { FREED, GRANULE_SHIFT, type Layout, OPEN, RED_ZONE } from "./layout.ts";
import { type Piece, Pieces } from "./pieces.ts";
import { Quarantine } from "./quarantine.ts";

/** Sizes of chunks are multiples of this, so that their shadow is made of whole words. */
const UNIT = 32;
const LEFT = UNIT;
const RIGHT_LEAST = 32;
const RIGHT_MOST = 2048;
/** Chunks have more bytes than a slot, so no two blocks begin in the same slot. */
const SLOT_SHIFT = 6;
const ALIGNMENT = 16;

/** Sizes of chunks: multiples of 32 up to 4 KiB, then eight classes a doubling. */
const LINEAR_LIMIT = 4096;
const LINEAR_CLASSES = LINEAR_LIMIT / UNIT;
/** Shadow of 32 bytes of red zone. */
const RED_WORD = RED_ZONE * 0x01010101;

/**
 * Fields of a block's record, in words. It is half a cache line: records of freed blocks are cold.
 */
const PTR = 0;
const SIZE = 1;
const CHUNK = 2;
/** The size class of the chunk, times 2; the lowest bit is set if the block is live. */
const KIND = 3;
/** The functions that have allocated it (lower half) and freed it (upper half). */
const CALLERS = 4;
/** The stacks of its allocation and free. */
const ALLOCATED = 5;
const FREED_AT = 6;
const RECORD_WORDS = 8;

const LIVE = 1;

/** A quarantine of fewer bytes is given up at once. */
const LAST_QUARANTINE = 1 << 16;

/** An address within so many bytes of a block is related to it. */
const NEAR = 4096;

export class Blocks implements BlockTable {
  readonly #layout: Layout;
  readonly #memory: Uint8Array;
  readonly #shadow: Uint8Array;
  readonly #shadowWords: Int32Array;
  readonly #slots: Int32Array;
  #records = new Int32Array(RECORD_WORDS * 1024);
  #count = 1;
  #top: number;
  readonly #free: number[][] = [];
  readonly #pieces = new Pieces();
  /** Records without a chunk. */
  readonly #spare: number[] = [];
  readonly #capacity: number;
  /** Bytes of live blocks, as a program's own allocator would count them. */
  #liveBytes = 0;
  /** The size of the first block for which there was no space; undefined if there always was. */
  refused: number | undefined;
  readonly #quarantine = new Quarantine();
  readonly #quarantineLimit: number;

  /**
   * @param quarantine the most bytes of freed blocks that are not used again.
   * @param capacity the most bytes of live blocks.
   */
  constructor(
    memory: WebAssembly.Memory,
    layout: Layout,
    quarantine: number,
    capacity: number = Infinity,
  ) {
    this.#capacity = capacity;
    this.#layout = layout;
    this.#memory = new Uint8Array(memory.buffer);
    this.#shadow = new Uint8Array(memory.buffer, layout.shadowStart);
    this.#shadowWords = new Int32Array(memory.buffer, layout.shadowStart);
    this.#slots = new Int32Array((layout.shadowStart - layout.heapStart) >>> SLOT_SHIFT);
    this.#top = layout.heapStart;
    this.#quarantineLimit = quarantine;
  }

  /** Returns a block, or 0 if the address space for blocks is used up. Sizes are unsigned. */
  alloc(size: number, align: number, caller: number, stack: number): number {
    if (this.#liveBytes + ownBytes(size) > this.#capacity) return 0;
    const extra = align > ALIGNMENT ? align : 0;
    const right = Math.min(RIGHT_MOST, Math.max(RIGHT_LEAST, size >>> 2));
    const bytes = LEFT + extra + size + right;
    const id = bytes < 2 ** 31 ? this.#chunkTake(bytes) : 0;
    if (id === 0) {
      this.refused ??= size;
      return 0;
    }
    this.#liveBytes += ownBytes(size);
    const record = id * RECORD_WORDS;
    const words = this.#records;
    const chunk = (words[record + CHUNK] as number) >>> 0;
    const ptr = extra ? Math.ceil((chunk + LEFT) / align) * align : chunk + LEFT;
    this.#slotMove(id, (words[record + PTR] as number) >>> 0, ptr);
    words[record + PTR] = ptr;
    words[record + SIZE] = size;
    (words[record + KIND] as number) |= LIVE;
    words[record + CALLERS] = caller;
    words[record + ALLOCATED] = stack;
    this.#shadowOpen(chunk, classBytes((words[record + KIND] as number) >>> 1), ptr, size);
    return ptr;
  }

  #slotMove(id: number, before: number, ptr: number): void {
    if (before !== ptr) this.#slots[this.#slot(before)] = 0;
    this.#slots[this.#slot(ptr)] = id;
  }

  /** Returns a block whose bytes are zero, or 0. */
  allocZero(size: number, align: number, caller: number, stack: number): number {
    const ptr = this.alloc(size, align, caller, stack);
    if (ptr !== 0) bytesFill(this.#memory, 0, ptr, ptr + size);
    return ptr;
  }

  /** Puts a live block into quarantine: it may not be accessed any more. */
  free(id: number, caller: number, stack: number): void {
    const record = id * RECORD_WORDS;
    const words = this.#records;
    (words[record + KIND] as number) &= ~LIVE;
    this.#liveBytes -= ownBytes(words[record + SIZE] as number);
    (words[record + CALLERS] as number) |= caller << 16;
    words[record + FREED_AT] = stack;
    const first = (words[record + PTR] as number) >>> GRANULE_SHIFT;
    const count = ((words[record + SIZE] as number) + 7) >>> GRANULE_SHIFT;
    bytesFill(this.#shadow, FREED, first, first + count);
    const which = (words[record + KIND] as number) >>> 1;
    this.#quarantine.push(id, which, classBytes(which));
    if (this.#quarantine.bytes > this.#quarantineLimit) this.#quarantineEnd(this.#quarantineLimit);
  }

  /** Copies the contents of a block to another. */
  copy(from: number, to: number, size: number): void {
    this.#memory.copyWithin(to, from, from + size);
  }

  /** The block that begins at `ptr`, live or freed; 0 if there is none. */
  find(ptr: number): number {
    const { heapStart } = this.#layout;
    if (ptr < heapStart || ptr >= this.#top) return 0;
    const id = this.#slots[this.#slot(ptr)] as number;
    const isIts = id !== 0 && this.#records[id * RECORD_WORDS + PTR] === (ptr | 0);
    return isIts ? id : 0;
  }

  isLive(id: number): boolean {
    return ((this.#records[id * RECORD_WORDS + KIND] as number) & LIVE) !== 0;
  }

  size(id: number): number {
    return this.#records[id * RECORD_WORDS + SIZE] as number;
  }

  /** The function that has allocated a block. */
  allocator(id: number): number {
    return (this.#records[id * RECORD_WORDS + CALLERS] as number) & 0xffff;
  }

  /** All that is known of a block. */
  block(id: number): Block {
    const field = (index: number) => this.#records[id * RECORD_WORDS + index] as number;
    return {
      id,
      ptr: field(PTR) >>> 0,
      size: field(SIZE),
      live: (field(KIND) & LIVE) !== 0,
      allocator: field(CALLERS) & 0xffff,
      allocated: field(ALLOCATED),
      freer: field(CALLERS) >>> 16,
      freed: field(FREED_AT),
    };
  }

  /** The block that an address is most likely related to. Slow: for reports only. */
  near(address: number): Near | undefined {
    if (address < this.#layout.heapStart || address >= this.#top) return undefined;
    const before = this.#neighbour(address, -1);
    const inside = before && address - before.ptr < Math.max(1, before.size);
    if (before && inside && before.size > 0) {
      return { block: before, side: "inside", distance: address - before.ptr };
    }
    const after = this.#neighbour(address, 1);
    const behind = before ? address - before.ptr - before.size : Infinity;
    const ahead = after ? after.ptr - address : Infinity;
    if (before && behind <= ahead && behind < NEAR) {
      return { block: before, side: "behind", distance: behind };
    }
    if (!after || ahead >= NEAR) return undefined;
    return { block: after, side: "before", distance: ahead };
  }

  #neighbour(address: number, step: 1 | -1): Block | undefined {
    const last = this.#slot(this.#top - 1);
    for (let slot = this.#slot(address); slot >= 0 && slot <= last; slot += step) {
      const id = this.#slots[slot] as number;
      if (id === 0) continue;
      const block = this.block(id);
      if (step < 0 ? block.ptr <= address : block.ptr > address) return block;
    }
    return undefined;
  }

  /** All live blocks, by address. */
  liveBlocks(): Block[] {
    const live: Block[] = [];
    for (let id = 1; id < this.#count; id++) if (this.isLive(id)) live.push(this.block(id));
    return live.sort((a, b) => a.ptr - b.ptr);
  }

  #slot(ptr: number): number {
    return (ptr - this.#layout.heapStart) >>> SLOT_SHIFT;
  }

  /** A record with a chunk of at least so many bytes; 0 if there is no space. */
  #chunkTake(bytes: number): number {
    const which = classOf(bytes);
    const known = this.#free[which]?.pop();
    if (known !== undefined) return known;
    const id = this.#chunkCut(which);
    if (id !== 0) return id;
    this.#join();
    return this.#chunkCut(which) || this.#chunkLast(which);
  }

  /** Gives up the quarantine, the oldest blocks first, until a chunk fits. */
  #chunkLast(which: number): number {
    for (let limit = this.#quarantine.bytes; limit > 0; ) {
      limit = limit < LAST_QUARANTINE ? 0 : Math.floor(limit / 2);
      this.#quarantineEnd(limit);
      this.#join();
      const id = this.#chunkCut(which);
      if (id !== 0) return id;
    }
    return 0;
  }

  /** A chunk from a free piece, or from the memory that was never used. */
  #chunkCut(which: number): number {
    const bytes = classBytes(which);
    const piece = this.#pieces.take(bytes);
    if (piece !== 0) return this.#chunkNew(piece, which);
    if (this.#top + bytes > this.#layout.shadowStart) return 0;
    this.#top += bytes;
    return this.#chunkNew(this.#top - bytes, which);
  }

  #chunkNew(start: number, which: number): number {
    const id = this.#spare.pop() ?? this.#count++;
    if (this.#count * RECORD_WORDS > this.#records.length) this.#recordsGrow();
    const record = id * RECORD_WORDS;
    this.#records[record + CHUNK] = start;
    this.#records[record + PTR] = start + LEFT;
    this.#records[record + KIND] = which << 1;
    return id;
  }

  /** Joins all free chunks and pieces that lie side by side, so that larger chunks fit. */
  #join(): void {
    const free = this.#free.flat();
    this.#free.length = 0;
    const chunks = free.map((id) => this.#chunkDrop(id));
    this.#top = this.#pieces.join(chunks, this.#top);
  }

  /** Takes the chunk from a record, which is spare then. */
  #chunkDrop(id: number): Piece {
    const record = id * RECORD_WORDS;
    const words = this.#records;
    const slot = this.#slot((words[record + PTR] as number) >>> 0);
    if (this.#slots[slot] === id) this.#slots[slot] = 0;
    this.#spare.push(id);
    return {
      start: (words[record + CHUNK] as number) >>> 0,
      bytes: classBytes((words[record + KIND] as number) >>> 1),
    };
  }

  #recordsGrow(): void {
    const larger = new Int32Array(this.#records.length * 2);
    larger.set(this.#records);
    this.#records = larger;
  }

  /** Makes the oldest freed blocks available until at most `limit` bytes are in quarantine. */
  #quarantineEnd(limit: number): void {
    const waiting = this.#quarantine;
    while (waiting.bytes > limit && !waiting.isEmpty) {
      const which = waiting.oldestClass;
      this.#free[which] ??= [];
      this.#free[which].push(waiting.oldest);
      waiting.drop(classBytes(which));
    }
  }

  #shadowOpen(chunk: number, bytes: number, ptr: number, size: number): void {
    const first = ptr >>> GRANULE_SHIFT;
    const full = first + (size >>> GRANULE_SHIFT);
    const [from, to] = [chunk >>> 5, (chunk + bytes) >>> 5];
    if (to - from > 64) this.#shadowWords.fill(RED_WORD, from, to);
    else for (let i = from; i < to; i++) this.#shadowWords[i] = RED_WORD;
    bytesFill(this.#shadow, OPEN, first, full);
    if (size & 7) this.#shadow[full] = size & 7;
  }
}

/** A call of fill has a fixed cost, which a loop over a short range does not have. */
function bytesFill(bytes: Uint8Array, value: number, from: number, to: number): void {
  if (to - from > 48) bytes.fill(value, from, to);
  else for (let i = from; i < to; i++) bytes[i] = value;
}

/** What a block takes in a usual allocator: a word before it, and a multiple of 16. */
function ownBytes(size: number): number {
  return Math.ceil((size + 4) / 16) * 16;
}

function classOf(bytes: number): number {
  if (bytes <= LINEAR_LIMIT) return (bytes + UNIT - 1) >>> 5;
  const doubling = 31 - Math.clz32(bytes - 1);
  return LINEAR_CLASSES + (doubling - 12) * 8 + (((bytes - 1) >>> (doubling - 3)) & 7) + 1;
}

function classBytes(which: number): number {
  if (which <= LINEAR_CLASSES) return which << 5;
  const above = which - LINEAR_CLASSES - 1;
  return 2 ** (12 + (above >>> 3)) + ((above & 7) + 1) * 2 ** (9 + (above >>> 3));
}
