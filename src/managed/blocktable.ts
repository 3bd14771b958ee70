/**
 * The blocks of a collector: a list through 16 bytes before each, and a sorted table of their
 * addresses while a collection runs.
 *
 *   ptr-16   ptr-12        ptr-8          ptr
 *    | next  | size  | kind, REACHED | mark | user's bytes …
 *
 * The mark is mixed from the address and the number of the table: it tells blocks from other words.
 */
import type { AllocatorBase } from "../layers/index.ts";
import type { Kind } from "./kinds.ts";

const HEADER = 16;
const REACHED = 0x80000000;
const MIX = 0x5bd1e995;
let tables = 0;
const NOTHING = new Uint32Array(0);

export class BlockTable {
  count = 0;
  bytes = 0;
  /** The sweep has seen all blocks. */
  swept = true;
  readonly #allocator: AllocatorBase;
  readonly #number = ++tables;
  readonly #kinds: Kind[] = [];
  #first = 0;
  /** Addresses at the beginning of the collection, ascending. */
  #sorted: Uint32Array = NOTHING;
  /** The position of the sweep: the last block that stays, and the next one to look at. */
  #kept = 0;
  #next = 0;

  constructor(allocator: AllocatorBase) {
    this.#allocator = allocator;
  }

  /** A new block of zero bytes, not reached; or 0. */
  add(size: number, kind: Kind): number {
    const raw = this.#allocator.calloc(1, size + HEADER);
    if (raw === 0) return 0;
    const ptr = raw + HEADER;
    const words = this.#allocator.u32;
    words[(ptr - 16) >>> 2] = this.#first;
    words[(ptr - 12) >>> 2] = size;
    words[(ptr - 8) >>> 2] = this.#kindIndex(kind);
    words[(ptr - 4) >>> 2] = this.#markOf(ptr);
    // A running sweep has begun at the block that was first: it does not come to this one.
    if (!this.swept && this.#kept === 0) this.#kept = ptr;
    this.#first = ptr;
    this.count += 1;
    this.bytes += size;
    return ptr;
  }

  /** Whether a block begins at ptr, as far as its mark tells. */
  has(ptr: number): boolean {
    return ptr % 16 === 0 && this.#allocator.u32[(ptr - 4) >>> 2] === this.#markOf(ptr);
  }

  at(ptr: number): { readonly size: number; readonly kind: Kind } {
    const words = this.#allocator.u32;
    const index = (words[(ptr - 8) >>> 2] as number) & ~REACHED;
    return { size: words[(ptr - 12) >>> 2] as number, kind: this.#kinds[index] as Kind };
  }

  /** Marks a block as reached; false if it was already. */
  reach(ptr: number): boolean {
    const words = this.#allocator.u32;
    const word = words[(ptr - 8) >>> 2] as number;
    if ((word & REACHED) !== 0) return false;
    words[(ptr - 8) >>> 2] = word | REACHED;
    return true;
  }

  /** Makes the table for blockAt. */
  sort(): void {
    this.#sorted = new Uint32Array(this.count);
    let i = 0;
    for (let ptr = this.#first; ptr !== 0; ptr = this.#nextOf(ptr)) this.#sorted[i++] = ptr;
    this.#sorted.sort();
  }

  /** The block that an address lies in, of those that existed at the last sort; or 0. */
  blockAt(address: number): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] as number) <= address) low = middle + 1;
      else high = middle;
    }
    const ptr = low === 0 ? 0 : (this.#sorted[low - 1] as number);
    return ptr !== 0 && address < ptr + Math.max(this.at(ptr).size, 1) ? ptr : 0;
  }

  /** Visits the reached blocks of a kind whose pointers are "any". */
  eachReachedAny(visit: (ptr: number) => void): void {
    for (let ptr = this.#first; ptr !== 0; ptr = this.#nextOf(ptr)) {
      const word = this.#allocator.u32[(ptr - 8) >>> 2] as number;
      if ((word & REACHED) !== 0 && this.at(ptr).kind.pointers === "any") visit(ptr);
    }
  }

  sweepBegin(): void {
    this.#sorted = NOTHING;
    this.#kept = 0;
    this.#next = this.#first;
    this.swept = false;
  }

  /** Frees what was not reached among the next `blocks` blocks; returns how many. */
  sweep(blocks: number): number {
    let freed = 0;
    for (let left = blocks; left > 0 && this.#next !== 0; left--) {
      const ptr = this.#next;
      this.#next = this.#nextOf(ptr);
      if (this.#isReached(ptr)) this.#keep(ptr);
      else freed += this.#remove(ptr);
    }
    if (this.#next === 0) this.swept = true;
    return freed;
  }

  clear(): void {
    while (this.#first !== 0) {
      const ptr = this.#first;
      this.#first = this.#nextOf(ptr);
      this.#give(ptr);
    }
  }

  #isReached(ptr: number): boolean {
    return ((this.#allocator.u32[(ptr - 8) >>> 2] as number) & REACHED) !== 0;
  }

  #keep(ptr: number): void {
    const words = this.#allocator.u32;
    words[(ptr - 8) >>> 2] = (words[(ptr - 8) >>> 2] as number) & ~REACHED;
    this.#kept = ptr;
  }

  #remove(ptr: number): number {
    const next = this.#next;
    if (this.#kept === 0) this.#first = next;
    else this.#allocator.u32[(this.#kept - 16) >>> 2] = next;
    this.#give(ptr);
    return 1;
  }

  #give(ptr: number): void {
    const { size, kind } = this.at(ptr);
    this.count -= 1;
    this.bytes -= size;
    try {
      kind.finalize?.(ptr);
    } finally {
      this.#allocator.u32[(ptr - 4) >>> 2] = 0;
      this.#allocator.free(ptr - HEADER);
    }
  }

  #markOf(ptr: number): number {
    return (ptr ^ Math.imul(this.#number, MIX)) >>> 0;
  }

  #nextOf(ptr: number): number {
    return this.#allocator.u32[(ptr - 16) >>> 2] as number;
  }

  #kindIndex(kind: Kind): number {
    const known = this.#kinds.lastIndexOf(kind);
    return known >= 0 ? known : this.#kinds.push(kind) - 1;
  }
}
