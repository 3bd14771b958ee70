/**
 * Holds retired pages and freed large blocks back for a while, so that a late write or a second
 * free is still found. block.ts has the states of their memory.
 */
import type { Block } from "./block.ts";
import type { FreedHistory } from "./contract.ts";
import type { Large } from "./large.ts";
import type { Page } from "./page.ts";

/** A queue, oldest first. */
export class Quarantine {
  #queue: (Page | Large)[] = [];
  /** Items before this one were taken. */
  #first = 0;
  /** Bytes of memory held. */
  bytes = 0;

  add(item: Page | Large): void {
    this.#queue.push(item);
    this.bytes += item.run.asked;
  }

  /** Removes the oldest item; undefined when there is none. */
  takeOldest(): Page | Large | undefined {
    const item = this.#queue[this.#first];
    if (item === undefined) return undefined;
    this.bytes -= item.run.asked;
    this.#first++;
    if (this.#first * 2 > this.#queue.length) this.#compact();
    return item;
  }

  clear(): void {
    this.#queue = [];
    this.#first = 0;
    this.bytes = 0;
  }

  #compact(): void {
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }
}

/** The metadata of memory that has left quarantine, kept with `retainMetadata`. */
export class GivenBack implements FreedHistory {
  #items: (Page | Large)[] = [];

  add(item: Page | Large): void {
    this.#items.push(item);
  }

  findFreed(ptr: number): Block | undefined {
    for (let index = this.#items.length - 1; index >= 0; index--) {
      for (const block of (this.#items[index] as Page | Large).blocks()) {
        if (block.ptr === ptr) return block;
      }
    }
    return undefined;
  }

  forget(): void {
    this.#items = [];
  }

  get bytes(): number {
    return this.#items.reduce((sum, item) => sum + item.metadataBytes, 0);
  }
}
