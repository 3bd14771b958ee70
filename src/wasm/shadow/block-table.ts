/** What reports and the leak scan need to know of blocks, whichever allocator made them. */

/** What is known of a block. */
export interface Block {
  readonly id: number;
  readonly ptr: number;
  readonly size: number;
  readonly live: boolean;
  /** Numbers of the functions that have allocated and freed it. */
  readonly allocator: number;
  readonly freer: number;
  /** Numbers of the stacks of its allocation and free. */
  readonly allocated: number;
  readonly freed: number;
}

/** A block, and where an address is in relation to it. */
export interface Near {
  readonly block: Block;
  readonly side: "inside" | "behind" | "before";
  /** Bytes from the block's start (inside, before) or end (behind). */
  readonly distance: number;
}

export interface BlockTable {
  /** The block that begins at an address, live or in quarantine; 0 if there is none. */
  find(ptr: number): number;
  isLive(id: number): boolean;
  size(id: number): number;
  /** The function that has allocated a block. */
  allocator(id: number): number;
  block(id: number): Block;
  /** The block that an address is most likely related to. Slow: for reports only. */
  near(address: number): Near | undefined;
  /** All live blocks, by address. */
  liveBlocks(): Block[];
  /** The size of the first block for which there was no space; undefined if there always was. */
  readonly refused: number | undefined;
}
