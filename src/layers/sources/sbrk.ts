/** The end of a memory as a source. */
import type { MemorySource } from "../../memory/index.ts";
import { checkSource, SLICE_BYTES as SLICE } from "../../memory/source.ts";
import { definePool, type Pool, roundToGranules, type TraitsWith } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { memoryViewsOf } from "./views.ts";

/** What `sbrk` returns. */
export type Sbrk = Pool<TraitsWith<16, "sized" | "drops" | "owns">>;

/**
 * Blocks one after the other at the end of a memory, as Unix's sbrk gives them. Only the last block
 * comes back by `put`; the others stay until `destroy`. The memory must have no other user.
 *
 * @example
 * const pool = pipe(sbrk(wasmMemory()), segregated());
 */
export function sbrk(source: MemorySource): Sbrk {
  checkSource("sbrk: source", source);
  const traits = { alignment: 16, sized: true, drops: true, owns: true, zeroed: false } as const;
  const end = new Break(source);
  const counter = new Counter();
  return definePool("sbrk", traits, memoryViewsOf(source), [], {
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

/** The boundary between memory in use and memory that is free. */
class Break {
  first: number;
  mark: number;
  #limit: number;
  readonly #source: MemorySource;

  constructor(source: MemorySource) {
    this.#source = source;
    this.first = Math.max(source.start, 16); // 0 is the null pointer
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
    const grown = this.#source.grow(missing);
    if (grown === 0) return false;
    const from = (grown & 0xffff) * SLICE;
    if (from !== this.#limit) this.#restart(from);
    this.#limit = from + (grown >>> 16) * SLICE;
    return true;
  }

  /** Other code grew the memory: the part between is not ours, and ours below it is given up. */
  #restart(from: number): void {
    this.first = from;
    this.mark = from;
  }
}
