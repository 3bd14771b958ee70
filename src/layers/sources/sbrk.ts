/** The end of memory as a source. */
import type { MemorySource } from "../../memory/index.ts";
import { SLICE_BYTES as SLICE } from "../../memory/source.ts";
import { definePool, type Pool, roundToGranules } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { memoryOf } from "./views.ts";

export type Sbrk = Pool<{
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: true;
  readonly owns: true;
  readonly zeroed: false;
}>;

/**
 * Blocks one behind the other, as Unix's sbrk gives them. Only the last block comes back by put;
 * the others wait for destroy. The source must have no other user.
 *
 * @example
 * const pool = pipe(sbrk(wasmMemory()), segregated());
 */
export function sbrk(source: MemorySource): Sbrk {
  const traits = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
  const end = new Break(source);
  const counter = new Counter();
  return definePool("sbrk", traits, memoryOf(source), [], {
    get(size) {
      const ptr = end.advance(roundToGranules(size));
      if (ptr !== 0) counter.got(size);
      return ptr;
    },
    put(ptr, size) {
      if (ptr + roundToGranules(size) === end.mark) end.mark = ptr;
      counter.put(size);
    },
    destroy() {
      end.mark = end.first;
      counter.drop();
    },
    owns: (ptr) => ptr >= end.first && ptr < end.mark,
    stats() {
      counter.taken = end.mark - end.first;
      return counter.stats();
    },
  });
}

/** The mark between memory in use and memory to come. */
class Break {
  first: number;
  mark: number;
  #limit: number;
  readonly #source: MemorySource;

  constructor(source: MemorySource) {
    this.#source = source;
    this.first = Math.max(source.start, 16); // 0 is null
    this.mark = this.first;
    this.#limit = source.buffer.byteLength;
  }

  advance(size: number): number {
    while (this.mark + size > this.#limit) if (!this.#grow(size)) return 0;
    const ptr = this.mark;
    this.mark += size;
    return ptr;
  }

  #grow(size: number): boolean {
    const missing = Math.ceil((this.mark + size - this.#limit) / SLICE);
    if (missing > SLICE) return false;
    const answer = this.#source.grow(missing);
    if (answer === 0) return false;
    const from = (answer & 0xffff) * SLICE;
    if (from !== this.#limit) this.#restart(from);
    this.#limit = from + (answer >>> 16) * SLICE;
    return true;
  }

  /** Somebody else grew the memory: what lies between is theirs, and what was ours stays behind. */
  #restart(from: number): void {
    this.first = from;
    this.mark = from;
  }
}
