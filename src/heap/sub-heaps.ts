/** The heaps beside a heap, and which of them serves the heap's own calls. */
import { type HeapError, outOfMemory } from "../common/errors.ts";
import type { WholeMemory } from "../common/views.ts";
import type { CoreExports } from "../core/contract.ts";
import { H_OF } from "../core/layout/layout.ts";
import { heapBudget } from "./arenas.ts";
import type { ArenaArea, HeapHost } from "./calls/contract.ts";
import { areas } from "./stats/counts.ts";
import { runTold } from "./stats/damage.ts";
import { type HeapRoot, SubHeap } from "./sub-heap.ts";

/** Options of `newHeap`. */
export interface NewHeapOptions {
  /** Id of the arena that it allocates from. Default: any memory. */
  arena?: number | undefined;
  /** The most bytes of slices of 64 KiB that its pages may have, from 64 KiB on. Default: any. */
  maximum?: number | undefined;
}

/** What they work on. */
interface SubHeapsHost {
  readonly root: HeapRoot;
  readonly host: HeapHost;
  readonly views: WholeMemory;
  /** Address of the state. */
  readonly state: number;
  words(): Uint32Array;
  /** Of a heap that has ended: one that throws. */
  core(): CoreExports;
  arenaArea(id: number): ArenaArea | undefined;
}

/** Bytes that the core takes for the words of a heap. */
const AREA_BYTES = 2048;

/** The sub-heaps of one heap, by their ids. */
export class SubHeaps {
  readonly #host: SubHeapsHost;
  readonly #live = new Map<number, SubHeap>();

  constructor(host: SubHeapsHost) {
    this.#host = host;
  }

  create(options: NewHeapOptions): SubHeap {
    const slices = heapBudget(options);
    if (options.arena !== undefined && !this.#host.arenaArea(options.arena)) {
      throw new RangeError(`newHeap: there is no arena ${options.arena}`);
    }
    const core = this.#host.core();
    const id = runTold(() => core.heapNew() >>> 0);
    if (id === 0) throw outOfMemory("newHeap", AREA_BYTES);
    if (slices !== 0 || options.arena) {
      runTold(() => core.heapLimit(id, slices, options.arena ?? 0));
    }
    return this.#of(id);
  }

  get backing(): SubHeap {
    return this.#of(this.#host.core().heapBacking() >>> 0);
  }

  get default(): SubHeap {
    return this.#of(this.#host.core().heapBound() >>> 0);
  }

  /** Returns the default heap before. */
  setDefault(heap: SubHeap): SubHeap {
    const before = this.default;
    if (!this.has(heap)) {
      throw new TypeError("setDefaultHeap needs a heap that newHeap of this heap made");
    }
    runTold(() => this.#host.core().heapBind(heap.id));
    return before;
  }

  /** Ends all but the backing heap, those of C programs too; every block stays. */
  settle(thread: number): void {
    const { state, words } = this.#host;
    const core = this.#host.core();
    const backing = core.heapBacking() >>> 0;
    const beside = [...areas(words(), state, thread !== 0)].filter((id) => {
      return words()[(id + H_OF) >>> 2] === backing;
    });
    for (const id of beside) {
      const known = this.#live.get(id);
      if (known) known.destroy({ keepBlocks: true });
      else core.heapDelete(id);
    }
    core.heapBind(backing);
    core.heapCollect(true);
  }

  has(heap: SubHeap): boolean {
    return heap instanceof SubHeap && this.#live.get(heap.id) === heap;
  }

  /** The heap beside which they are has ended. */
  end(error: () => HeapError): void {
    for (const heap of [...this.#live.values()]) heap.end(error);
  }

  #of(id: number): SubHeap {
    const known = this.#live.get(id);
    if (known) return known;
    const { root, host, views } = this.#host;
    const core = this.#host.core();
    const forget = () => void this.#live.delete(id);
    const heap = new SubHeap({ id, root, core, host, views, forget });
    this.#live.set(id, heap);
    return heap;
  }
}
