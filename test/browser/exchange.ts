/** Threads that hand each other blocks through a table of words in their heap; runs in browsers. */
import type { SharedHeap } from "#src/heap/shared.js";
import { Random } from "../support/random.js";

export const TABLE_WORDS = 128;
const SIZE_MIN = 8;
const SIZE_MAX = 200_000;
/** Percent of the turns that resize the block before it is handed over. */
const RESIZES = 20;

/** Fills a block with what blockCheck finds: its size, and a byte that follows from both words. */
function blockWrite(heap: SharedHeap, ptr: number, size: number, seed: number): void {
  heap.u8.fill(seed & 255, ptr + SIZE_MIN, ptr + size);
  heap.u32[ptr >>> 2] = size;
  heap.u32[(ptr >>> 2) + 1] = seed;
}

/** A new block with contents. */
export function blockCreate(heap: SharedHeap, size: number, seed: number): number {
  const ptr = heap.malloc(size);
  if (ptr === 0) throw new Error(`no memory for ${size} bytes`);
  blockWrite(heap, ptr, size, seed);
  return ptr;
}

/** Throws if any byte of a block from blockCreate is another one. */
export function blockCheck(heap: SharedHeap, ptr: number): void {
  const size = heap.u32[ptr >>> 2]!;
  const seed = heap.u32[(ptr >>> 2) + 1]!;
  const bytes = heap.u8.subarray(ptr + SIZE_MIN, ptr + size);
  const whole = size >= SIZE_MIN && size <= heap.usableSize(ptr);
  if (whole && bytes.every((byte) => byte === (seed & 255))) return;
  throw new Error(`block ${ptr} of ${size} bytes was overwritten`);
}

/** One thread's part. */
export class Exchange {
  readonly #heap: SharedHeap;
  readonly #words: Int32Array;
  readonly #random: Random;

  constructor(heap: SharedHeap, table: number, seed: number) {
    this.#heap = heap;
    this.#words = new Int32Array(heap.buffer, table, TABLE_WORDS);
    this.#random = new Random(seed);
  }

  /** Puts a new block in the table; what lay there, mostly another thread's, is checked and freed. */
  turn(): void {
    const heap = this.#heap;
    const random = this.#random;
    let ptr = blockCreate(heap, random.skewed(SIZE_MIN, SIZE_MAX), random.u32());
    if (random.chance(RESIZES)) ptr = this.#resized(ptr, random.skewed(SIZE_MIN, SIZE_MAX));
    this.#take(random.below(TABLE_WORDS), ptr);
  }

  turns(count: number): void {
    for (let i = 0; i < count; i++) this.turn();
  }

  /** Checks and frees what the table has. */
  drain(): void {
    for (let i = 0; i < TABLE_WORDS; i++) this.#take(i, 0);
  }

  #resized(old: number, size: number): number {
    const ptr = this.#heap.realloc(old, size);
    if (ptr === 0) throw new Error(`no memory for ${size} bytes`);
    const kept = Math.min(size, this.#heap.u32[ptr >>> 2]!);
    this.#heap.u32[ptr >>> 2] = kept;
    blockCheck(this.#heap, ptr);
    blockWrite(this.#heap, ptr, size, this.#random.u32());
    return ptr;
  }

  #take(index: number, instead: number): void {
    const ptr = Atomics.exchange(this.#words, index, instead) >>> 0;
    if (ptr === 0) return;
    blockCheck(this.#heap, ptr);
    this.#heap.free(ptr);
  }
}
