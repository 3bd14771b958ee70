/** Runs of 64 KiB slices of a memory as a source: what mmap is to Unix. */
import type { MemorySource } from "../../memory/index.ts";
import { SLICE_BYTES as SLICE } from "../../memory/source.ts";
import { definePool, type Pool } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { memoryOf } from "./views.ts";

/** What runs of whole slices promise. */
export const RUNS = {
  alignment: 65536,
  sized: false,
  drops: true,
  owns: true,
  zeroed: false,
} as const;

export type Slices = Pool<typeof RUNS>;

/**
 * Blocks of whole slices, first fit; freed runs are joined and used again. The source must have no
 * other user. Price: the search goes through the free runs, a small block takes 64 KiB.
 *
 * @example
 * const pool = pipe(slices(wasmMemory()), buddy());
 */
export function slices(source: MemorySource): Slices {
  const runs = new Runs(source);
  const used = new Map<number, number>();
  const counter = new Counter();
  function put(ptr: number): void {
    const count = used.get(ptr) ?? 0;
    if (!used.delete(ptr)) return;
    runs.add(ptr / SLICE, count);
    counter.put(count * SLICE);
  }
  return definePool("slices", RUNS, memoryOf(source), [], {
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

/** Free runs in address order, no two of them neighbours. All numbers are slices. */
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
    const index = this.#runs.findIndex((run) => run.at > at);
    const place = index < 0 ? this.#runs.length : index;
    this.#runs.splice(place, 0, { at, count });
    this.#join(place);
    if (place > 0) this.#join(place - 1);
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

  /** Grows by what is missing behind a free run at the end. */
  #grow(count: number): boolean {
    const last = this.#runs.at(-1);
    const end = Math.floor(this.#source.buffer.byteLength / SLICE);
    const tail = last && last.at + last.count === end ? last.count : 0;
    if (count - tail > 0xffff) return false;
    const answer = this.#source.grow(count - tail);
    if (answer === 0) return false;
    this.add(answer & 0xffff, answer >>> 16);
    return true;
  }

  #join(index: number): void {
    const [run, next] = [this.#runs[index], this.#runs[index + 1]];
    if (!run || !next || run.at + run.count !== next.at) return;
    run.count += next.count;
    this.#runs.splice(index + 1, 1);
  }
}
