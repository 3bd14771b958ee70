/** What callers ask of the debug allocator: a block, and what shall become of one. */
import type { AlignmentRequest } from "./block.ts";

/** What a caller says of a block that it gives back. */
export interface Given {
  readonly size?: number;
  readonly alignment?: number;
}

/** A block that is asked for. */
export interface Request {
  readonly size: number;
  /** Undefined: aligned as malloc aligns. */
  readonly align?: AlignmentRequest | undefined;
  /** All of it is zero, or when resizing what it grows by. */
  readonly zero?: boolean;
}

/** What shall become of a block. */
export interface Change extends Request {
  readonly given?: Given | undefined;
  /** It must not move. */
  readonly stay?: boolean;
}
