/** The blocks in use of a region that must find them again, and where they were allocated. */
import type { Pool } from "../pool/contract.ts";
import type { Held } from "../pool/errors.ts";
import { HEADER, rawAt, sizeAt, totalAt } from "./block-header.ts";
import type { Failures } from "./failures.ts";

/** A doubly linked list through the headers of the blocks, newest first. */
export class RegionBlocks {
  #first = 0;
  readonly #stacks: Map<number, Error> | undefined;

  constructor(keepsStacks: boolean) {
    this.#stacks = keepsStacks ? new Map() : undefined;
  }

  add(words: Uint32Array, ptr: number): void {
    const at = (ptr - HEADER) >>> 2;
    words[at] = this.#first;
    words[at + 1] = 0;
    if (this.#first !== 0) words[(this.#first - 12) >>> 2] = ptr;
    this.#first = ptr;
    if (this.#stacks) this.#stacks.set(ptr, new Error("allocated"));
  }

  remove(words: Uint32Array, ptr: number): void {
    const next = words[(ptr - HEADER) >>> 2] as number;
    const previous = words[(ptr - 12) >>> 2] as number;
    if (previous === 0) this.#first = next;
    else words[(previous - HEADER) >>> 2] = next;
    if (next !== 0) words[(next - 12) >>> 2] = previous;
    this.#stacks?.delete(ptr);
  }

  /** The blocks, oldest first. */
  blocks(words: Uint32Array): Held[] {
    return this.#addresses(words).map((ptr) => {
      const stack = this.#stacks?.get(ptr);
      return { ptr, size: sizeAt(words, ptr), ...(stack && { stack: stackLines(stack) }) };
    });
  }

  /** A put may throw what a layer has found; the other blocks are put all the same. */
  putAll(pool: Pool, failures: Failures): void {
    for (const ptr of this.#addresses(pool.memory.u32())) {
      const words = pool.memory.u32();
      failures.attempt(() => pool.put(rawAt(words, ptr), totalAt(words, ptr)));
    }
  }

  /** Addresses of the blocks, oldest first. */
  #addresses(words: Uint32Array): number[] {
    const ptrs: number[] = [];
    for (let ptr = this.#first; ptr !== 0; ptr = words[(ptr - HEADER) >>> 2] as number) {
      ptrs.push(ptr);
    }
    return ptrs.reverse();
  }
}

const OWN_CALLS = /\b(Region|RegionBlocks|AllocatorBase|Ambient)\.|node:async_hooks/;
/** The files of this module, bundled or not. */
const OWN_FILES = /\/(?:dist\/lib\/layers|src\/layers\/\w+\/[\w-]+)\.[jt]s:/;

/** A stack without the frames of this library, as far as their names show them. */
function stackLines(error: Error): string {
  const lines = (error.stack ?? "").split("\n").slice(1);
  return lines.filter((line) => !OWN_CALLS.test(line) && !OWN_FILES.test(line)).join("\n");
}
