/**
 * Memory for guarded blocks beside the heap that owns the rest of a memory, with the list of free
 * runs in JavaScript. So a stray write into the heap's structures does no harm to the debug
 * allocator, whose calls never read them.
 */
import { Runs } from "../../layers/sources/runs.ts";
import type { MemorySource } from "../../memory/index.ts";
import type { Run } from "./block.ts";

/** Bytes of the unit: what a page of the system has, mostly. */
const UNIT = 4096;
/** Slices of 64 KiB that a memory grows by at least. Growth replaces all typed arrays. */
const GROWTH = 4;

/** What debug allocators over one memory have in common: what one gives back, the next one uses. */
const known = new WeakMap<MemorySource, Apart>();

/** @param source A memory that other code also grows. */
export function apartOf(source: MemorySource): Apart {
  const apart = known.get(source) ?? new Apart(source);
  known.set(source, apart);
  return apart;
}

export class Apart {
  readonly #runs: Runs;
  readonly #held = new Set<number>();

  /** Use apartOf. */
  constructor(source: MemorySource) {
    this.#runs = new Runs(source, UNIT, GROWTH);
  }

  /** A run at a multiple of `alignment`; undefined when the memory does not grow. */
  acquire(alignment: number, bytes: number): Run | undefined {
    const count = Math.ceil(bytes / UNIT);
    const slack = Math.max(0, alignment / UNIT - 1);
    const at = this.#runs.take(count + slack);
    if (at === 0) return undefined;
    const unit = Math.max(1, alignment / UNIT);
    const first = Math.ceil(at / unit) * unit;
    if (first > at) this.#runs.add(at, first - at);
    const rest = at + slack - first;
    if (rest > 0) this.#runs.add(first + count, rest);
    const base = first * UNIT;
    this.#held.add(base);
    return { raw: base, base, bytes, asked: count * UNIT };
  }

  /** Returns whether the run is one of this memory. */
  release({ raw, asked }: Run): boolean {
    if (!this.#held.delete(raw)) return false;
    this.#runs.add(raw / UNIT, asked / UNIT);
    return true;
  }
}
