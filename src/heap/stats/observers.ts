/**
 * What observes the mallocs and frees of a thread: statistics of level 1 and 2, a sampler,
 * and who serves a sample of them. The core tells of them while somebody does
 * (src/core/heap/observe.ts, sample.ts); this is its host's part.
 */

import { wrongKind } from "../../common/errors.ts";
import type { CoreExports, GuardsMemory, HeapGuards } from "../../core/contract.ts";
import * as L from "../../core/layout/layout.ts";
import { areas } from "./counts.ts";
import { Guarding, guardFreedAfar, guardSizeAfar } from "./sampled-guards.ts";
import { talliesClear, tallyAsked, tallyIn, tallyOut } from "./tally.ts";
import {
  type BlockNext,
  blockBytesAt,
  nextPlain,
  pageBlockSizes,
  pageBlocks,
  pages,
} from "./walk.ts";

/** 0 = sizes are not counted; 1 = bytes and blocks of three kinds; 2 = also bins and requests. */
export type StatsLevel = 0 | 1 | 2;

/** What is wrong with a level, or undefined. */
export function levelRefuse(level: unknown): Error | undefined {
  if (typeof level !== "number") {
    return wrongKind("statsLevel", "0, 1 or 2", level);
  }
  if (level === 0 || level === 1 || level === 2) return undefined;
  return new RangeError(`statsLevel must be 0, 1 or 2, not ${level}`);
}

/** The heap's memory, as it is now. */
export interface WatchPlace {
  readonly core: CoreExports;
  readonly state: number;
  /** Of this thread; 0 where there is only one. */
  ticket(): number;
  words(): Uint32Array;
  /** How a hardened heap reads its free lists; undefined in a plain one. */
  next(): BlockNext | undefined;
}

/** Who samples: see sampler.ts. */
export interface AllocationListener {
  /** Bytes until it wants to hear of an allocation; the core counts down for it if it can. */
  left: number;
  /** Whether it wants to hear of frees. */
  readonly frees: boolean;
  allocated(ptr: number, size: number): void;
  freed(ptr: number): void;
}

export class Watching {
  readonly #place: WatchPlace;
  #level: StatsLevel = 0;
  #listener: AllocationListener | undefined;
  #guarding: Guarding | undefined;

  constructor(place: WatchPlace) {
    this.#place = place;
  }

  get level(): StatsLevel {
    return this.#level;
  }

  /** Begins to count, from what lives now if nobody in this memory does yet; or ends. */
  levelSet(level: StatsLevel, fresh: boolean): void {
    const { state } = this.#place;
    const words = this.#place.words();
    this.#leftRead();
    if (fresh && level > this.#level) {
      talliesClear(words, state);
      for (const page of pages(words, state)) {
        for (const bytes of pageBlockSizes(words, page)) tallyIn(words, state, bytes, level > 1);
      }
    }
    this.#level = level;
    this.#watch();
  }

  /** Has a listener told of allocations, or none. */
  listen(listener: AllocationListener | undefined): void {
    this.#listener = listener;
    this.#watch();
  }

  /** Has a sample served beside guard pages; undefined where somebody does, or a heap cannot. */
  guard(guards: HeapGuards): GuardsMemory | undefined {
    if (this.#guarding || this.#place.next()) return undefined;
    const guarding = Guarding.begin(this.#place, guards);
    if (!guarding) return undefined;
    this.#guarding = guarding;
    this.#watch();
    return {
      ...guarding.seat,
      destroy: () => {
        this.#guarding = undefined;
        this.#watch();
        guarding.destroy();
      },
    };
  }

  /** The core must tell of every malloc for statistics, else only of those that are due. */
  #watch(): void {
    const { core } = this.#place;
    const mallocs = this.#level > 0 || this.#listener !== undefined;
    const frees = this.#level > 0 || this.#listener?.frees === true;
    const bits = (mallocs ? L.OBSERVE_MALLOCS : 0) | (frees ? L.OBSERVE_FREES : 0);
    const watched = bits | (this.#guarding?.watch ?? 0);
    core.observeBind(watched);
    core.observeSkip(this.#level > 0 ? 0 : (this.#listener?.left ?? 0));
    // A hardened heap has no direct tables, and something else in their place.
    if (!this.#place.next()) this.#directSet((watched & L.OBSERVE_SLOW) !== 0);
  }

  /** Leads the direct tables of this thread's heaps to no page, or to their pages again. */
  #directSet(off: boolean): void {
    const { state } = this.#place;
    const ticket = this.#place.ticket();
    const words = this.#place.words();
    for (const area of areas(words, state, ticket !== 0)) {
      const mine = ((ticket << 2) | L.AREA_LIVE) >>> 0;
      const word = words[(area + L.H_STATE) >>> 2];
      const live = ticket !== 0 ? word === mine : words[(area + L.H_ID) >>> 2] !== 0;
      if (live) directWrite(words, area, off);
    }
  }

  /** What the core tells; whether it is of this kind. */
  event(code: number, value: number): boolean {
    if (code === L.ALLOCATED) this.#allocated(value);
    else if (code === L.FREED) this.#freed(value);
    else if (code === L.RESIZED) this.#resized(value);
    else if (code === L.PAGE_GONE) this.#pageGone(value);
    else return this.#guardEvent(code, value);
    return true;
  }

  #guardEvent(code: number, value: number): boolean {
    if (code === L.SAMPLE_DUE) this.#guarding?.due(value);
    else if (code === L.GUARD_FREED) this.#guardFreed(value);
    else if (code === L.GUARD_MISUSED) this.#guarding?.misused(value);
    else if (code === L.GUARD_SIZE) this.#place.core.sampleResult(this.#guardSize(value));
    else return false;
    return true;
  }

  /** Guards of another thread, or another heap object, take it from their table. */
  #guardFreed(ptr: number): void {
    if (this.#guarding?.has(ptr)) this.#guarding.freed(ptr);
    else guardFreedAfar(this.#place, ptr);
  }

  #guardSize(ptr: number): number {
    return this.#guarding?.has(ptr) ? this.#guarding.size(ptr) : guardSizeAfar(this.#place, ptr);
  }

  #allocated(ptr: number): void {
    const { core, state } = this.#place;
    const size = core.observeSize() >>> 0;
    if (this.#level > 0) {
      const words = this.#place.words();
      tallyIn(words, state, blockBytesAt(words, state, ptr), this.#level > 1);
      if (this.#level > 1) tallyAsked(words, state, size);
    }
    this.#leftRead();
    try {
      this.#listener?.allocated(ptr, size);
    } finally {
      if (this.#level === 0) core.observeSkip(this.#listener?.left ?? 0);
    }
  }

  #leftRead(): void {
    if (this.#listener && this.#level === 0) {
      this.#listener.left = this.#place.core.observeLeft() >>> 0;
    }
  }

  #freed(ptr: number): void {
    const { state } = this.#place;
    if (this.#level > 0) {
      const words = this.#place.words();
      tallyOut(words, state, blockBytesAt(words, state, ptr), this.#level > 1);
    }
    this.#listener?.freed(ptr);
  }

  #resized(ptr: number): void {
    const { core, state } = this.#place;
    if (this.#level === 0) return;
    const words = this.#place.words();
    tallyOut(words, state, core.observeSize() >>> 0, this.#level > 1);
    tallyIn(words, state, blockBytesAt(words, state, ptr), this.#level > 1);
  }

  #pageGone(page: number): void {
    const { state } = this.#place;
    const words = this.#place.words();
    for (const [ptr, bytes] of pageBlocks(words, page, this.#place.next() ?? nextPlain(words))) {
      if (this.#level > 0) tallyOut(words, state, bytes, this.#level > 1);
      this.#listener?.freed(ptr);
    }
  }
}

/** As queueDirect of the core does it; src/core/layout/layout.ts draws the tables. */
function directWrite(words: Uint32Array, heap: number, off: boolean): void {
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
