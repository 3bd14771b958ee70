/**
 * What observes the mallocs and frees of a thread: statistics of level 1 and 2, a sampler, and
 * guards that serve a sample of them. The core reports them only while one of these is there
 * (src/core/heap/observe.ts, src/core/pages/sample.ts); this is the host's part of it.
 */

import { wrongKind } from "../../common/errors.ts";
import type { GuardsMemory, HeapGuards } from "../../core/contract.ts";
import * as L from "../../core/layout/layout.ts";
import type { AllocationListener, HeapObservers, ObservedHeap, StatsLevel } from "./contract.ts";
import { areas } from "./counts.ts";
import { countFreeAfar, SampledGuards, sizeAfar } from "./sampled-guards.ts";
import { clearTallies, tallyIn, tallyOut, tallyRequest } from "./tally.ts";
import { blockBytesAt, nextUnhardened, pageBlockSizes, pageBlocks, pages } from "./walk.ts";

/** What is wrong with a level, or undefined. */
export function levelError(level: unknown): Error | undefined {
  if (typeof level !== "number") {
    return wrongKind("statsLevel", "0, 1 or 2", level);
  }
  if (level === 0 || level === 1 || level === 2) return undefined;
  return new RangeError(`statsLevel must be 0, 1 or 2, not ${level}`);
}

/** The observers of one heap in one thread. */
export class Observers implements HeapObservers {
  readonly #heap: ObservedHeap;
  #level: StatsLevel = 0;
  #listener: AllocationListener | undefined;
  #sampled: SampledGuards | undefined;

  constructor(heap: ObservedHeap) {
    this.#heap = heap;
  }

  get level(): StatsLevel {
    return this.#level;
  }

  /**
   * Counts at another level from now on. `fresh`: begins with the blocks that live now; else with
   * the counts that other threads of this memory have made.
   */
  setLevel(level: StatsLevel, fresh: boolean): void {
    const { state } = this.#heap;
    const words = this.#heap.words();
    this.#readLeft();
    if (fresh && level > this.#level) {
      clearTallies(words, state);
      for (const page of pages(words, state)) {
        for (const bytes of pageBlockSizes(words, page)) tallyIn(words, state, bytes, level > 1);
      }
    }
    this.#level = level;
    this.#bind();
  }

  /** Reports allocations to a listener from now on, or to none. */
  listen(listener: AllocationListener | undefined): void {
    this.#listener = listener;
    this.#bind();
  }

  /** Offers a sample to guards; undefined if there are some already, or the heap cannot. */
  guard(guards: HeapGuards): GuardsMemory | undefined {
    if (this.#sampled || this.#heap.next()) return undefined;
    const sampled = SampledGuards.begin(this.#heap, guards);
    if (!sampled) return undefined;
    this.#sampled = sampled;
    this.#bind();
    return {
      ...sampled.range,
      destroy: () => {
        this.#sampled = undefined;
        this.#bind();
        sampled.destroy();
      },
    };
  }

  /** The core must report every malloc for statistics, else only those that are due. */
  #bind(): void {
    const { core } = this.#heap;
    const mallocs = this.#level > 0 || this.#listener !== undefined;
    const frees = this.#level > 0 || this.#listener?.frees === true;
    const bits = (mallocs ? L.OBSERVE_MALLOCS : 0) | (frees ? L.OBSERVE_FREES : 0);
    const watched = bits | (this.#sampled?.watch ?? 0);
    core.observeBind(watched);
    core.observeSkip(this.#level > 0 ? 0 : (this.#listener?.left ?? 0));
    // A hardened heap has no direct tables, and something else in their place.
    if (!this.#heap.next()) this.#setDirect((watched & L.OBSERVE_SLOW) !== 0);
  }

  /** Leads the direct tables of this thread's heaps to no page, or to their pages again. */
  #setDirect(off: boolean): void {
    const { state } = this.#heap;
    const thread = this.#heap.thread();
    const words = this.#heap.words();
    for (const area of areas(words, state, thread !== 0)) {
      const mine = ((thread << 2) | L.AREA_LIVE) >>> 0;
      const own = words[(area + L.H_STATE) >>> 2] === mine;
      const live = thread !== 0 ? own : words[(area + L.H_ID) >>> 2] !== 0;
      if (live) writeDirect(words, area, off);
    }
  }

  event(code: number, value: number): boolean {
    if (code === L.ALLOCATED) this.#allocated(value);
    else if (code === L.FREED) this.#freed(value);
    else if (code === L.RESIZED) this.#resized(value);
    else if (code === L.PAGE_GONE) this.#pageGone(value);
    else return this.#guardEvent(code, value);
    return true;
  }

  #guardEvent(code: number, value: number): boolean {
    if (code === L.SAMPLE_DUE) this.#sampled?.due(value);
    else if (code === L.GUARD_FREED) this.#guardFreed(value);
    else if (code === L.GUARD_MISUSED) this.#sampled?.misused(value);
    else if (code === L.GUARD_SIZE) this.#heap.core.sampleResult(this.#guardSize(value));
    else return false;
    return true;
  }

  /** Guards of another thread, or of another heap object, read it in their table. */
  #guardFreed(ptr: number): void {
    if (this.#sampled?.has(ptr)) this.#sampled.freed(ptr);
    else countFreeAfar(this.#heap, ptr);
  }

  #guardSize(ptr: number): number {
    return this.#sampled?.has(ptr) ? this.#sampled.size(ptr) : sizeAfar(this.#heap, ptr);
  }

  #allocated(ptr: number): void {
    const { core, state } = this.#heap;
    const size = core.observeSize() >>> 0;
    if (this.#level > 0) {
      const words = this.#heap.words();
      tallyIn(words, state, blockBytesAt(words, state, ptr), this.#level > 1);
      if (this.#level > 1) tallyRequest(words, state, size);
    }
    this.#readLeft();
    try {
      this.#listener?.allocated(ptr, size);
    } finally {
      if (this.#level === 0) core.observeSkip(this.#listener?.left ?? 0);
    }
  }

  #readLeft(): void {
    if (this.#listener && this.#level === 0) {
      this.#listener.left = this.#heap.core.observeLeft() >>> 0;
    }
  }

  #freed(ptr: number): void {
    const { state } = this.#heap;
    if (this.#level > 0) {
      const words = this.#heap.words();
      tallyOut(words, state, blockBytesAt(words, state, ptr), this.#level > 1);
    }
    this.#listener?.freed(ptr);
  }

  #resized(ptr: number): void {
    const { core, state } = this.#heap;
    if (this.#level === 0) return;
    const words = this.#heap.words();
    tallyOut(words, state, core.observeSize() >>> 0, this.#level > 1);
    tallyIn(words, state, blockBytesAt(words, state, ptr), this.#level > 1);
  }

  #pageGone(page: number): void {
    const { state } = this.#heap;
    const words = this.#heap.words();
    for (const [ptr, bytes] of pageBlocks(
      words,
      page,
      this.#heap.next() ?? nextUnhardened(words),
    )) {
      if (this.#level > 0) tallyOut(words, state, bytes, this.#level > 1);
      this.#listener?.freed(ptr);
    }
  }
}

/** As queueDirect of the core does it; src/core/layout/layout.ts draws the tables. */
function writeDirect(words: Uint32Array, heap: number, off: boolean): void {
  const at = (address: number) => (heap + address) >>> 2;
  const empty = heap + L.H_EMPTY;
  words.fill(empty, at(L.H_DIRECT), at(L.H_DIRECT) + L.DIRECT_COUNT);
  if (off) return;
  for (let bin = 1; bin <= L.BIN_LAST; bin++) {
    const queue = at(L.H_QUEUES + (bin << L.QUEUE_SHIFT));
    const from = words[queue + L.Q_DIRECT / 4] as number;
    const first = words[queue + L.Q_FIRST / 4] as number;
    const last = (((words[queue + L.Q_BLOCK / 4] as number) + 7) >>> 1) & 0x3fc;
    if (from > L.DIRECT_MAX || first === 0) continue;
    words.fill(first, at(L.H_DIRECT + from), at(L.H_DIRECT + last) + 1);
  }
}
