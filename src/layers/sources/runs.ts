/** Free runs of a memory whose list lies in JavaScript, where no write to the memory reaches it. */
import type { MemorySource } from "../../memory/index.ts";
import { SLICE_BYTES as SLICE } from "../../memory/source.ts";
import {
  beginningAt,
  below,
  firstFit,
  fitting,
  inserted,
  type Run,
  removed,
  runsOf,
  type Tree,
  treeIsValid,
} from "./run-tree.ts";

/** Runs that may turn out to begin in the wrong place before one is taken that fits in any. */
const TRIES = 16;

/** How runs are counted, and how their memory grows. */
export interface RunsOptions {
  /** Bytes of a unit: a power of two, at most 64 KiB. Default: 64 KiB. */
  unit?: number;
  /** The memory grows by so many slices at least, while it can. Default: 1. */
  least?: number;
  /**
   * ... and by an eighth of what it has grown by, up to so many slices: growth replaces all typed
   * arrays, and a program that has much memory soon needs more. Default: `least`.
   */
  most?: number;
}

/**
 * Free runs in the order of their addresses, no two of them adjacent; the lowest that fits is used.
 * All numbers are units: 64 KiB, or what the constructor is given.
 *
 * What there is, is free or taken: `given = free + taken`.
 */
export class Runs {
  #tree: Tree;
  #given = 0;
  #free = 0;
  #taken = 0;
  readonly #source: MemorySource;
  /** Units of a slice, which is what a memory grows by. */
  readonly #perSlice: number;
  readonly #least: number;
  readonly #most: number;

  /** Without free runs at first. */
  constructor(source: MemorySource, { unit = SLICE, least = 1, most = least }: RunsOptions = {}) {
    this.#source = source;
    this.#perSlice = SLICE / unit;
    this.#least = least;
    this.#most = most;
  }

  /** Units that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Adds all of the memory, for its only user. */
  addRest(): void {
    const first = Math.max(1, this.#source.start / SLICE); // slice 0 has the null address
    const end = Math.floor(this.#source.buffer.byteLength / SLICE);
    if (end > first) this.#add(first, end - first);
  }

  /** First unit of a run, or 0. */
  take(count: number): number {
    const run = firstFit(this.#tree, count) ?? this.#grow(count);
    if (!run) return 0;
    const { at } = run;
    this.#cut(run, at, count);
    return at;
  }

  /** First unit of a run at a multiple of `alignment`, a power of two; or 0. */
  takeAligned(count: number, alignment: number): number {
    if (alignment <= 1) return this.take(count);
    const run = this.#fitAligned(count, alignment) ?? this.#grow(count + alignment - 1);
    if (!run) return 0;
    const at = alignedUp(run.at, alignment);
    this.#cut(run, at, count);
    return at;
  }

  /** Takes back what `take` gave. */
  put(at: number, count: number): void {
    this.#taken -= count;
    this.#free += count;
    this.#join(at, count);
  }

  /** Whether the counts agree, and all that is free is in the tree once; for tests. */
  isValid(): boolean {
    let free = 0;
    for (const { count } of runsOf(this.#tree)) free += count;
    return treeIsValid(this.#tree) && free === this.#free && this.#given === free + this.#taken;
  }

  #fitAligned(count: number, alignment: number): Run | undefined {
    let tries = TRIES;
    for (const run of fitting(this.#tree, count)) {
      if (alignedUp(run.at, alignment) + count <= endOf(run)) return run;
      if (--tries === 0) break;
    }
    return firstFit(this.#tree, count + alignment - 1); // fits wherever it begins
  }

  /** Takes a part of a free run. */
  #cut({ at: from, count: length }: Run, at: number, count: number): void {
    const end = at + count;
    const rest = from + length - end;
    this.#tree = removed(this.#tree as NonNullable<Tree>, from);
    if (at > from) this.#tree = inserted(this.#tree, { at: from, count: at - from });
    if (rest > 0) this.#tree = inserted(this.#tree, { at: end, count: rest });
    this.#free -= count;
    this.#taken += count;
  }

  /** Adds memory that was not there before, in slices. */
  #add(slice: number, slices: number): Run {
    const count = slices * this.#perSlice;
    this.#given += count;
    this.#free += count;
    return this.#join(slice * this.#perSlice, count);
  }

  /** Adds a free run, joined with its neighbours. */
  #join(at: number, count: number): Run {
    const before = below(this.#tree, at);
    const after = beginningAt(this.#tree, at + count);
    const joined = { at, count };
    if (before && endOf(before) === at) this.#absorb(joined, before);
    if (after) this.#absorb(joined, after);
    this.#tree = inserted(this.#tree, joined);
    return joined;
  }

  #absorb(run: { at: number; count: number }, { at, count }: Run): void {
    this.#tree = removed(this.#tree as NonNullable<Tree>, at);
    run.at = Math.min(run.at, at);
    run.count += count;
  }

  /** Grows by what is missing after a free run at the end; returns the run there. */
  #grow(count: number): Run | undefined {
    const end = Math.floor(this.#source.buffer.byteLength / SLICE) * this.#perSlice;
    const last = below(this.#tree, end);
    const tail = last && endOf(last) === end ? last.count : 0;
    const missing = Math.ceil((count - tail) / this.#perSlice);
    if (missing > 0xffff) return undefined;
    const grown = this.#source.grow(Math.max(missing, this.#step)) || this.#source.grow(missing);
    if (grown === 0) return undefined;
    const run = this.#add(grown & 0xffff, grown >>> 16);
    // Other code may have grown the memory, so that the new slices do not follow the last run.
    return run.count >= count ? run : this.#grow(count);
  }

  /** Slices that the memory grows by at least. */
  get #step(): number {
    const eighth = Math.floor(this.#given / this.#perSlice / 8);
    return Math.max(this.#least, Math.min(eighth, this.#most));
  }
}

function endOf({ at, count }: Run): number {
  return at + count;
}

function alignedUp(at: number, alignment: number): number {
  return Math.ceil(at / alignment) * alignment;
}
