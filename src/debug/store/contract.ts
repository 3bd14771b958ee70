/** How blocks are found: by one thread's tables, or in what threads share. */
import type { Block, Item } from "./block.ts";

/** From addresses to blocks. */
export interface Finder {
  /** The block that begins at ptr, or whose slot covers it: the look-up of every free. */
  at(ptr: number): Block | undefined;
  /** The block that covers an address, zones included. */
  covering(address: number): Block | undefined;
  /** The block whose bytes are closest to an address. Walks over all blocks: for reports. */
  nearest(address: number): Block | undefined;
  items(): Iterable<Item>;
  /** Every block that was handed out and whose memory is still held, live or free. */
  blocks(): Iterable<Block>;
  /** When sampling, finds most pointers that are not sampled blocks by one load. */
  readonly filter: { isUnsampled(address: number): boolean } | undefined;
}

/** Blocks whose memory was given back, as far as their metadata is kept. */
export interface FreedHistory {
  /** The last such block that began at ptr. */
  findFreed(ptr: number): Block | undefined;
  /** Drops all metadata. */
  forget(): void;
}
