/** Free runs of a memory whose list lies in JavaScript, where no write to the memory reaches it. */
import type { MemorySource } from "../../memory/index.ts";
import { SLICE_BYTES as SLICE } from "../../memory/source.ts";

interface Run {
  at: number;
  count: number;
}

/**
 * Free runs in the order of their addresses, no two of them adjacent. All numbers are units:
 * 64 KiB, or what the constructor is given.
 */
export class Runs {
  readonly #runs: Run[] = [];
  readonly #source: MemorySource;
  /** Units of a slice, which is what a memory grows by. */
  readonly #perSlice: number;
  readonly #least: number;

  /**
   * Without free runs at first.
   *
   * @param unit Bytes: a power of two, at most 64 KiB.
   * @param least The memory grows by so many slices at least, while it can.
   */
  constructor(source: MemorySource, unit: number = SLICE, least = 1) {
    this.#source = source;
    this.#perSlice = SLICE / unit;
    this.#least = least;
  }

  /** Adds all of the memory, for its only user. */
  addRest(): void {
    const first = Math.max(1, this.#source.start / SLICE); // slice 0 has the null address
    const end = Math.floor(this.#source.buffer.byteLength / SLICE);
    if (end > first) this.add(first * this.#perSlice, (end - first) * this.#perSlice);
  }

  /** First unit of a run, or 0. */
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
    const end = Math.floor(this.#source.buffer.byteLength / SLICE) * this.#perSlice;
    const tail = last && last.at + last.count === end ? last.count : 0;
    const missing = Math.ceil((count - tail) / this.#perSlice);
    if (missing > 0xffff) return false;
    const source = this.#source;
    const grown = source.grow(Math.max(missing, this.#least)) || source.grow(missing);
    if (grown === 0) return false;
    this.add((grown & 0xffff) * this.#perSlice, (grown >>> 16) * this.#perSlice);
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
