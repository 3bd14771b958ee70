/**
 * The blocks of a program that keeps its own allocator. Pieces of the allocator that are inlined in
 * the program allocate and free unseen, so what is noted here may be out of date: a block that is
 * given out again ends the note of the one that was there.
 *
 * Freed blocks wait in a quarantine: the allocator takes them for live, so it neither touches nor
 * gives out their bytes, and nobody else may. Bytes of waiting blocks = the sum of their sizes.
 */
import type { Block, BlockTable, Near } from "./block-table.ts";
import { FREED, GRANULE_SHIFT, type Layout, OPEN } from "./layout.ts";

interface Watched extends Block {
  live: boolean;
  freer: number;
  freed: number;
  /** The parameters with which free was called. */
  args: readonly number[];
}

/** A freed block that goes back to its allocator now. */
export interface Evicted {
  /** The number of the function that was to free it. */
  readonly freer: number;
  readonly args: readonly number[];
}

const GRANULE = 1 << GRANULE_SHIFT;

export class WatchedBlocks implements BlockTable {
  readonly #shadow: Uint8Array;
  readonly #limit: number;
  readonly #blocks = new Map<number, Watched>();
  readonly #byId = new Map<number, Watched>();
  #made = 0;
  /** Blocks in quarantine, the oldest first. */
  readonly #waiting = new Set<Watched>();
  #waitingBytes = 0;
  #low = Infinity;
  #high = 0;
  readonly refused = undefined;

  /** @param quarantine the most bytes of freed blocks that are kept from their allocator. */
  constructor(memory: WebAssembly.Memory, layout: Layout, quarantine: number) {
    this.#shadow = new Uint8Array(memory.buffer, layout.shadowStart);
    this.#limit = quarantine;
  }

  /** The addresses between which all blocks were that have been noted. */
  get span(): { from: number; to: number } {
    return { from: this.#low, to: Math.max(this.#low, this.#high) };
  }

  /** Notes a block that the allocator has returned. */
  take(ptr: number, size: number, allocator: number, allocated: number): void {
    this.#low = Math.min(this.#low, ptr);
    this.#high = Math.max(this.#high, ptr + size);
    const stale = this.#blocks.get(ptr);
    if (stale) this.#forget(stale);
    const id = ++this.#made;
    const fresh = { id, ptr, size, allocator, allocated, live: true, freer: 0, freed: 0, args: [] };
    this.#byId.set(id, fresh);
    this.#blocks.set(ptr, fresh);
  }

  /** Forgets a block that realloc got, whether it has moved it or not; returns its size. */
  drop(ptr: number): number {
    const block = this.#blocks.get(ptr);
    if (!block) return 0;
    this.#forget(block);
    return block.size;
  }

  #forget(block: Watched): void {
    if (this.#waiting.delete(block)) this.#reopen(block);
    this.#blocks.delete(block.ptr);
    this.#byId.delete(block.id);
  }

  /** Puts a live block into the quarantine, and closes its bytes. */
  wait(id: number, freer: number, freed: number, args: readonly number[]): void {
    const block = this.#byId.get(id) as Watched;
    Object.assign(block, { live: false, freer, freed, args });
    this.#waiting.add(block);
    this.#waitingBytes += block.size;
    this.#shade(block, FREED);
  }

  /** The blocks that the quarantine gives up: as many as are too much, or all. */
  evict(all: boolean): Evicted[] {
    const evicted: Evicted[] = [];
    for (const block of this.#waiting) {
      if (!all && this.#waitingBytes <= this.#limit) break;
      this.#forget(block);
      evicted.push({ freer: block.freer, args: block.args });
    }
    return evicted;
  }

  #reopen(block: Watched): void {
    this.#waitingBytes -= block.size;
    this.#shade(block, OPEN);
  }

  /** Whole granules only: in the last one the header of the next block may begin. */
  #shade({ ptr, size }: Watched, value: number): void {
    const from = (ptr + GRANULE - 1) >>> GRANULE_SHIFT;
    const to = (ptr + size) >>> GRANULE_SHIFT;
    if (to > from) this.#shadow.fill(value, from, to);
  }

  find(ptr: number): number {
    return this.#blocks.get(ptr)?.id ?? 0;
  }

  isLive(id: number): boolean {
    return this.#byId.get(id)?.live === true;
  }

  size(id: number): number {
    return this.#byId.get(id)?.size ?? 0;
  }

  allocator(id: number): number {
    return this.#byId.get(id)?.allocator ?? 0;
  }

  block(id: number): Block {
    return this.#byId.get(id) as Block;
  }

  /** Only bytes of freed blocks are closed, so an address is related to one that it lies in. */
  near(address: number): Near | undefined {
    for (const block of this.#waiting) {
      const distance = address - block.ptr;
      if (distance >= 0 && distance < block.size) return { block, side: "inside", distance };
    }
    return undefined;
  }

  /** Of blocks that overlap, the older ones have been freed unseen. */
  liveBlocks(): Block[] {
    const live = [...this.#blocks.values()].filter((each) => each.live);
    live.sort((a, b) => a.ptr - b.ptr);
    const kept: Watched[] = [];
    for (const block of live) {
      const last = kept.at(-1);
      if (!last || last.ptr + last.size <= block.ptr) kept.push(block);
      else if (last.id < block.id) kept[kept.length - 1] = block;
    }
    return kept;
  }
}
