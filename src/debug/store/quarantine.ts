/**
 * Memory that nobody uses any more, oldest first: pages whose slots are all freed, and freed large
 * blocks. It is held back for a while, so that a late write or a second free still finds something
 * to be seen by; rest.ts says in which state.
 */
import type { Block, Large, Page } from "./block.ts";

export class Quarantine {
  #queue: (Page | Large)[] = [];
  /** Items before this one have left. */
  #first = 0;
  /** What has left, when its metadata is kept. */
  #past: (Page | Large)[] = [];
  /** Bytes of memory held. */
  bytes = 0;

  push(item: Page | Large): void {
    this.#queue.push(item);
    this.bytes += item.run.asked;
  }

  /** The oldest leaves; undefined when there is none. */
  shift(): Page | Large | undefined {
    const item = this.#queue[this.#first];
    if (item === undefined) return undefined;
    this.bytes -= item.run.asked;
    this.#first++;
    if (this.#first * 2 > this.#queue.length) this.#compact();
    return item;
  }

  remember(item: Page | Large): void {
    this.#past.push(item);
  }

  /** The block that began at ptr and whose memory is given back, if metadata is kept. */
  findFreed(ptr: number): Block | undefined {
    for (let index = this.#past.length - 1; index >= 0; index--) {
      for (const block of (this.#past[index] as Page | Large).blocks()) {
        if (block.ptr === ptr) return block;
      }
    }
    return undefined;
  }

  forget(): void {
    this.#past = [];
  }

  get historyBytes(): number {
    return this.#past.reduce((sum, item) => sum + item.metadataBytes, 0);
  }

  *items(): Generator<Page | Large> {
    for (let index = this.#first; index < this.#queue.length; index++) {
      yield this.#queue[index] as Page | Large;
    }
  }

  clear(): void {
    this.#queue = [];
    this.#first = 0;
    this.bytes = 0;
    this.#past = [];
  }

  #compact(): void {
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }
}
