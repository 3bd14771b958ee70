/** Requests for a block, and for a change of one. */
import type { AlignmentRequest } from "./block.ts";

/** What a caller claims of a block that it frees or resizes. */
export interface Given {
  readonly size?: number;
  readonly alignment?: number;
}

/** A request for a block. */
export interface Request {
  readonly size: number;
  /** Undefined: the alignment of malloc. */
  readonly align?: AlignmentRequest | undefined;
  /** All of the block is zero; of one that is resized, the bytes that it gains. */
  readonly zero?: boolean;
}

/** A request for a change of a block. */
export interface Change extends Request {
  readonly given?: Given | undefined;
  /** The block must not move. */
  readonly stay?: boolean;
}
