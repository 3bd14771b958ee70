/**
 * Where blocks were allocated and freed: a stack for each live block, and a ring of the blocks that
 * were freed last. Each thread has its own, outside the memory of the blocks.
 *
 *   live:  ptr -> stack
 *   ring:  [ptr, stack, stack] ... next ..., the oldest is overwritten
 *   depot: each stack once, for all blocks that have it
 */
import type { HardenedError } from "./reports.ts";

/** Where a block was allocated and freed. */
export interface BlockHistory {
  /** Stack of the allocation; undefined if another thread made it, or stacks were not tracked. */
  readonly allocatedAt: string | undefined;
  /** Stack of the free; undefined while the block is live, and once the ring has dropped it. */
  readonly freedAt: string | undefined;
}

interface Freed extends BlockHistory {
  readonly ptr: number;
}

const UNKNOWN: BlockHistory = { allocatedAt: undefined, freedAt: undefined };
const FRAMES = 16;

export class History {
  readonly #size: number;
  readonly #live = new Map<number, string>();
  readonly #ring: Freed[] = [];
  #next = 0;
  readonly #depot = new Map<string, string>();

  /** `size`: freed blocks that are remembered, at least 1. */
  constructor(size: number) {
    this.#size = size;
  }

  allocated(ptr: number): void {
    this.#live.set(ptr, this.#stack());
  }

  freed(ptr: number): void {
    const allocatedAt = this.#live.get(ptr);
    this.#live.delete(ptr);
    this.#ring[this.#next] = { ptr, allocatedAt, freedAt: this.#stack() };
    this.#next = (this.#next + 1) % this.#size;
  }

  /** The history of the block at ptr, or of the last one there. */
  of(ptr: number): BlockHistory {
    const allocatedAt = this.#live.get(ptr);
    if (allocatedAt !== undefined) return { allocatedAt, freedAt: undefined };
    return this.#last(ptr) ?? UNKNOWN;
  }

  /** Number of different stacks that are kept. */
  get stacks(): number {
    return this.#depot.size;
  }

  /** Newest first. */
  #last(ptr: number): Freed | undefined {
    const { length } = this.#ring;
    for (let back = 1; back <= length; back++) {
      const one = this.#ring[(this.#next + length - back) % length] as Freed;
      if (one.ptr === ptr) return one;
    }
    return undefined;
  }

  #stack(): string {
    const text = stackText();
    const known = this.#depot.get(text);
    if (known !== undefined) return known;
    // Most programs have few stacks. Clearing the depot loses only the sharing of equal ones.
    if (this.#depot.size >= this.#size) this.#depot.clear();
    this.#depot.set(text, text);
    return text;
  }
}

function stackText(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES;
  const { stack } = new Error("");
  Error.stackTraceLimit = stackTraceLimit;
  // The first line is "Error", the next three are this function and its callers in this file.
  return String(stack).split("\n").slice(4).join("\n");
}

/** Adds to an error the stacks of its block. */
export function stacksAdd(error: HardenedError, history: History | undefined): HardenedError {
  const { allocatedAt, freedAt } = history?.of(error.ptr) ?? UNKNOWN;
  if (allocatedAt !== undefined) error.allocatedAt = allocatedAt;
  if (freedAt !== undefined) error.freedAt = freedAt;
  return error;
}
