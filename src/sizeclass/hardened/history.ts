/**
 * Where blocks were allocated and freed: a stack for each block in use, and a ring of the blocks
 * that were freed last. Of one thread, in JavaScript's memory, out of reach of what it is about.
 *
 *   live:  ptr -> stack
 *   ring:  [ptr, stack, stack] ... next ... , overwritten round and round
 *   depot: each stack once, however many blocks have it
 */
import type { HardenedError } from "./reports.ts";

/** Where a block came from and went. */
export interface BlockHistory {
  /** Stack of the allocation; undefined when another thread made it, or when none were tracked. */
  readonly allocatedAt: string | undefined;
  /** Stack of the free; undefined while the block is in use, and when the ring has forgotten it. */
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

  /** `size`: freed blocks that are remembered; more than 0. */
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

  /** Of the block that is at ptr, or was there last. */
  of(ptr: number): BlockHistory {
    const allocatedAt = this.#live.get(ptr);
    if (allocatedAt !== undefined) return { allocatedAt, freedAt: undefined };
    return this.#last(ptr) ?? UNKNOWN;
  }

  /** Stacks that are kept; equal ones count once. */
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
    // A program has few stacks; one that makes ever new ones begins anew, and loses only sharing.
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
  // The first line is "Error", the next three are this function and its callers in here.
  return String(stack).split("\n").slice(4).join("\n");
}

/** Says in an error where its block came from and went. */
export function errorTell(error: HardenedError, history: History | undefined): HardenedError {
  const { allocatedAt, freedAt } = history?.of(error.ptr) ?? UNKNOWN;
  if (allocatedAt !== undefined) error.allocatedAt = allocatedAt;
  if (freedAt !== undefined) error.freedAt = freedAt;
  return error;
}
