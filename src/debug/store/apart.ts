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
/** Slices of 64 KiB that a memory grows by at least, and at most beyond what a call needs. */
const GROWTH = { least: 4, most: 64 };

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
  /** Units of the runs in use, by address. */
  readonly #held = new Map<number, number>();

  /** Use apartOf. */
  constructor(source: MemorySource) {
    this.#runs = new Runs(source, { unit: UNIT, ...GROWTH });
  }

  /** A run at a multiple of `alignment`; undefined when the memory does not grow. */
  acquire(alignment: number, bytes: number): Run | undefined {
    const count = Math.ceil(bytes / UNIT);
    const base = this.#runs.takeAligned(count, alignment / UNIT) * UNIT;
    if (base === 0) return undefined;
    this.#held.set(base, count);
    return { raw: base, base, bytes, asked: count * UNIT };
  }

  /** Returns whether the run is one of this memory. */
  release({ raw }: Run): boolean {
    const count = this.#held.get(raw);
    if (count === undefined) return false;
    this.#held.delete(raw);
    this.#runs.put(raw / UNIT, count);
    return true;
  }

  /** Whether what is held is what is taken of the free runs, which are valid; for tests. */
  isValid(): boolean {
    let held = 0;
    for (const count of this.#held.values()) held += count;
    return this.#runs.isValid() && held === this.#runs.taken;
  }
}
