/**
 * The checked heap: blocks with red zones, freed blocks in quarantine. Its books are kept outside
 * of the program's memory, where no stray write reaches them.
 *
 *   chunk                ptr              ptr + size                      chunk + chunk size
 *   │ red zone, ≥ 32     │ the block      │ red zone, ≥ 32                │
 */
import { FREED, GRANULE_SHIFT, type Layout, OPEN, RED_ZONE } from "./layout.ts";
import { Quarantine } from "./quarantine.ts";

/** A chunk's multiple, so that its shadow is made of whole words. */
const UNIT = 32;
const LEFT = UNIT;
const RIGHT_LEAST = 32;
const RIGHT_MOST = 2048;
/** A chunk has more bytes than this, so no two blocks begin in the same slot. */
const SLOT_SHIFT = 6;
const ALIGNMENT = 16;

/** Sizes of chunks: multiples of 32 up to 4 KiB, then eight classes a doubling. */
const LINEAR_LIMIT = 4096;
const LINEAR_CLASSES = LINEAR_LIMIT / UNIT;
/** Shadow of 32 bytes of red zone. */
const RED_WORD = RED_ZONE * 0x01010101;

/** Fields of a block's record, in words. Half a cache line: freed blocks come back cold. */
const PTR = 0;
const SIZE = 1;
const CHUNK = 2;
/** The size class of the chunk, times 2; the lowest bit says whether the block is live. */
const KIND = 3;
/** The functions that have made it (lower half) and freed it (upper half). */
const WHO = 4;
const MADE = 5;
const ENDED = 6;
const RECORD_WORDS = 8;

const LIVE = 1;

/** What is known of a block. `maker` and `ender` are functions, `made` and `ended` stacks. */
export interface Block {
  readonly id: number;
  readonly ptr: number;
  readonly size: number;
  readonly live: boolean;
  readonly maker: number;
  readonly made: number;
  readonly ender: number;
  readonly ended: number;
}

/** A block and where an address lies: in it, so many bytes behind its end, or before its start. */
export interface Near {
  readonly block: Block;
  readonly place: "inside" | "behind" | "before";
  /** Bytes from the block's start (inside, before) or end (behind). */
  readonly distance: number;
}

/** How far from a block an address may lie to have to do with it. */
const NEAR = 4096;

export class Blocks {
  readonly #layout: Layout;
  readonly #memory: Uint8Array;
  readonly #shadow: Uint8Array;
  readonly #shadowWords: Int32Array;
  readonly #slots: Int32Array;
  #records = new Int32Array(RECORD_WORDS * 1024);
  #count = 1;
  #top: number;
  readonly #free: number[][] = [];
  readonly #quarantine = new Quarantine();
  readonly #quarantineLimit: number;

  /** @param quarantine how many bytes of freed blocks are kept from being used again. */
  constructor(memory: WebAssembly.Memory, layout: Layout, quarantine: number) {
    this.#layout = layout;
    this.#memory = new Uint8Array(memory.buffer);
    this.#shadow = new Uint8Array(memory.buffer, layout.shadowStart);
    this.#shadowWords = new Int32Array(memory.buffer, layout.shadowStart);
    this.#slots = new Int32Array((layout.shadowStart - layout.heapStart) >>> SLOT_SHIFT);
    this.#top = layout.heapStart;
    this.#quarantineLimit = quarantine;
  }

  /** A block; 0 when the address space for blocks is used up. Sizes are unsigned. */
  alloc(size: number, align: number, maker: number, stack: number): number {
    const extra = align > ALIGNMENT ? align : 0;
    const right = Math.min(RIGHT_MOST, Math.max(RIGHT_LEAST, size >>> 2));
    const bytes = LEFT + extra + size + right;
    const id = bytes < 2 ** 31 ? this.#chunkTake(bytes) : 0;
    if (id === 0) return 0;
    const record = id * RECORD_WORDS;
    const words = this.#records;
    const chunk = (words[record + CHUNK] as number) >>> 0;
    const ptr = extra ? Math.ceil((chunk + LEFT) / align) * align : chunk + LEFT;
    this.#place(id, (words[record + PTR] as number) >>> 0, ptr);
    words[record + PTR] = ptr;
    words[record + SIZE] = size;
    (words[record + KIND] as number) |= LIVE;
    words[record + WHO] = maker;
    words[record + MADE] = stack;
    this.#shadowOpen(chunk, classBytes((words[record + KIND] as number) >>> 1), ptr, size);
    return ptr;
  }

  #place(id: number, before: number, ptr: number): void {
    if (before !== ptr) this.#slots[this.#slot(before)] = 0;
    this.#slots[this.#slot(ptr)] = id;
  }

  /** A block of zero bytes. */
  allocZero(size: number, align: number, maker: number, stack: number): number {
    const ptr = this.alloc(size, align, maker, stack);
    if (ptr !== 0) bytesFill(this.#memory, 0, ptr, ptr + size);
    return ptr;
  }

  /** Closes a live block and puts it into quarantine. */
  free(id: number, ender: number, stack: number): void {
    const record = id * RECORD_WORDS;
    const words = this.#records;
    (words[record + KIND] as number) &= ~LIVE;
    (words[record + WHO] as number) |= ender << 16;
    words[record + ENDED] = stack;
    const first = (words[record + PTR] as number) >>> GRANULE_SHIFT;
    const count = ((words[record + SIZE] as number) + 7) >>> GRANULE_SHIFT;
    bytesFill(this.#shadow, FREED, first, first + count);
    const which = (words[record + KIND] as number) >>> 1;
    this.#quarantine.push(id, which, classBytes(which));
    if (this.#quarantine.bytes > this.#quarantineLimit) this.#quarantineEnd(this.#quarantineLimit);
  }

  /** Copies what both of two blocks have. */
  copy(from: number, to: number, size: number): void {
    this.#memory.copyWithin(to, from, from + size);
  }

  /** The block that begins at `ptr`, live or freed; 0 when none does. */
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

  maker(id: number): number {
    return (this.#records[id * RECORD_WORDS + WHO] as number) & 0xffff;
  }

  /** All that is known of a block. */
  block(id: number): Block {
    const field = (index: number) => this.#records[id * RECORD_WORDS + index] as number;
    return {
      id,
      ptr: field(PTR) >>> 0,
      size: field(SIZE),
      live: (field(KIND) & LIVE) !== 0,
      maker: field(WHO) & 0xffff,
      made: field(MADE),
      ender: field(WHO) >>> 16,
      ended: field(ENDED),
    };
  }

  /** The block that an address has most likely to do with. Slow: for reports only. */
  near(address: number): Near | undefined {
    if (address < this.#layout.heapStart || address >= this.#top) return undefined;
    const before = this.#neighbour(address, -1);
    const inside = before && address - before.ptr < Math.max(1, before.size);
    if (before && inside && before.size > 0) {
      return { block: before, place: "inside", distance: address - before.ptr };
    }
    const after = this.#neighbour(address, 1);
    const behind = before ? address - before.ptr - before.size : Infinity;
    const ahead = after ? after.ptr - address : Infinity;
    if (before && behind <= ahead && behind < NEAR) {
      return { block: before, place: "behind", distance: behind };
    }
    if (!after || ahead >= NEAR) return undefined;
    return { block: after, place: "before", distance: ahead };
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

  /** A record with a chunk of at least so many bytes; 0 when there is no room. */
  #chunkTake(bytes: number): number {
    const which = classOf(bytes);
    const known = this.#free[which]?.pop();
    if (known !== undefined) return known;
    if (this.#top + classBytes(which) <= this.#layout.shadowStart) return this.#chunkNew(which);
    this.#quarantineEnd(0);
    return this.#free[which]?.pop() ?? 0;
  }

  #chunkNew(which: number): number {
    const id = this.#count++;
    if (this.#count * RECORD_WORDS > this.#records.length) this.#recordsGrow();
    const record = id * RECORD_WORDS;
    this.#records[record + CHUNK] = this.#top;
    this.#records[record + PTR] = this.#top + LEFT;
    this.#records[record + KIND] = which << 1;
    this.#top += classBytes(which);
    return id;
  }

  #recordsGrow(): void {
    const larger = new Int32Array(this.#records.length * 2);
    larger.set(this.#records);
    this.#records = larger;
  }

  /** Lets the oldest freed blocks go until no more than `limit` bytes wait. */
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

/** fill has a fixed cost that short ranges need not pay. */
function bytesFill(bytes: Uint8Array, value: number, from: number, to: number): void {
  if (to - from > 48) bytes.fill(value, from, to);
  else for (let i = from; i < to; i++) bytes[i] = value;
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
