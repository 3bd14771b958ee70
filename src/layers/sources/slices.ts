/** Runs of 64 KiB slices of a memory as a source: what mmap is to Unix. */
import type { MemorySource } from "../../memory/index.ts";
import { checkSource, SLICE_BYTES as SLICE } from "../../memory/source.ts";
import { definePool, type Pool, type TraitsWith } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { memoryViewsOf } from "./views.ts";

/** What runs of whole slices guarantee. */
type RunTraits = TraitsWith<65536, "drops" | "owns">;

export const RUNS: RunTraits = {
  alignment: 65536,
  sized: false,
  drops: true,
  owns: true,
  zeroed: false,
};

/** What `slices` returns. */
export type Slices = Pool<RunTraits>;

/**
 * Blocks of whole slices of 64 KiB, first fit; freed runs are joined and used again. The memory
 * must have no other user. Price: a search through the free runs, and 64 KiB for a small block.
 *
 * @example
 * const pool = pipe(slices(wasmMemory()), buddy());
 */
export function slices(source: MemorySource): Slices {
  checkSource("slices: source", source);
  const runs = new Runs(source);
  const used = new Map<number, number>();
  const counter = new Counter();
  function put(ptr: number): void {
    const count = used.get(ptr) ?? 0;
    if (!used.delete(ptr)) return;
    runs.add(ptr / SLICE, count);
    counter.put(count * SLICE);
  }
  return definePool("slices", RUNS, memoryViewsOf(source), [], {
    get(size) {
      const count = Math.max(1, Math.ceil(size / SLICE));
      const ptr = runs.take(count) * SLICE;
      if (ptr === 0) return 0;
      used.set(ptr, count);
      counter.got(count * SLICE);
      return ptr;
    },
    put,
    destroy() {
      for (const ptr of used.keys()) put(ptr);
    },
    sizeOf: (ptr) => (used.get(ptr) ?? 0) * SLICE,
    owns: (ptr) => used.has(ptr),
    stats: () => counter.stats(),
  });
}

interface Run {
  at: number;
  count: number;
}

/** Free runs in the order of their addresses, no two of them adjacent. All numbers are slices. */
class Runs {
  readonly #runs: Run[] = [];
  readonly #source: MemorySource;

  constructor(source: MemorySource) {
    this.#source = source;
    const first = Math.max(1, source.start / SLICE); // slice 0 has the null address
    const end = Math.floor(source.buffer.byteLength / SLICE);
    if (end > first) this.#runs.push({ at: first, count: end - first });
  }

  /** First slice of a run, or 0. */
  take(count: number): number {
    return this.#fit(count) || (this.#grow(count) ? this.#fit(count) : 0);
  }

  add(at: number, count: number): void {
    const above = this.#runs.findIndex((run) => run.at > at);
    const index = above < 0 ? this.#runs.length : above;
    this.#runs.splice(index, 0, { at, count });
    this.#join(index);
    if (index > 0) this.#join(index - 1);
  }

  #fit(count: number): number {
    const index = this.#runs.findIndex((run) => run.count >= count);
    const run = this.#runs[index];
    if (run === undefined) return 0;
    const { at } = run;
    run.at += count;
    run.count -= count;
    if (run.count === 0) this.#runs.splice(index, 1);
    return at;
  }

  /** Grows by what is missing after a free run at the end. */
  #grow(count: number): boolean {
    const last = this.#runs.at(-1);
    const end = Math.floor(this.#source.buffer.byteLength / SLICE);
    const tail = last && last.at + last.count === end ? last.count : 0;
    if (count - tail > 0xffff) return false;
    const grown = this.#source.grow(count - tail);
    if (grown === 0) return false;
    this.add(grown & 0xffff, grown >>> 16);
    return true;
  }

  /** Joins the run at an index with the next one, if they are adjacent. */
  #join(index: number): void {
    const [run, next] = [this.#runs[index], this.#runs[index + 1]];
    if (!run || !next || run.at + run.count !== next.at) return;
    run.count += next.count;
    this.#runs.splice(index + 1, 1);
  }
}
