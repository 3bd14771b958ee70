/** A heap beside a heap. */

import { checkPointer } from "../common/checks.ts";
import { type HeapError, heapDestroyed } from "../common/errors.ts";
import type { WholeMemory } from "../common/views.ts";
import type { CoreExports, SharedCoreExports } from "../core/contract.ts";
import type { MemorySource } from "../memory/index.ts";
import type { HeapHost } from "./calls/contract.ts";
import { CoreAllocator } from "./calls/heap-calls.ts";
import type { BlockNext } from "./stats/contract.ts";
import { runTold } from "./stats/damage.ts";
import { type AreaVisitor, type BlockVisitor, blocksVisit, heldRead } from "./stats/walk.ts";

/** Options of `visitBlocks`. */
export interface VisitOptions {
  /** Called for each run of memory that holds blocks, before these; false stops the walk. */
  areas?: AreaVisitor;
}

/** Options of `SubHeap.destroy`. */
export interface DestroyOptions {
  /** The blocks stay valid and belong to the backing heap. Default: false, they end too. */
  keepBlocks?: boolean | undefined;
}

/** What a sub-heap needs of the heap that it is beside. */
export interface HeapRoot {
  readonly source: MemorySource;
  /** How a walk follows the free lists of a hardened heap. */
  readonly blockNext: BlockNext | undefined;
  /** Runs a function of the core that walks, unless the heap is damaged. */
  walk<T>(run: () => T): T;
}

interface SubHeapParts {
  id: number;
  root: HeapRoot;
  core: CoreExports;
  host: HeapHost;
  views: WholeMemory;
  /** Called when it has ended. */
  forget(): void;
}

/**
 * A heap beside the first one of a thread, with the same calls and pages of its own;
 * mimalloc calls it a heap. What it allocates can be freed and resized through any heap of the
 * memory; a block that moves goes to the heap that resizes it. It belongs to the thread that made
 * it, and ends with the Heap that made it.
 *
 * @example
 * const heap = createHeap();
 * using scratch = heap.newHeap(); // destroyed at the end of the scope
 * heap.free(scratch.malloc(100));
 */
export class SubHeap extends CoreAllocator {
  /** The number by which the memory and C programs (`mi_heap_malloc` and others) know it. */
  readonly id: number;
  readonly #root: HeapRoot;
  /** The core as it is; `this.core` works on this heap. */
  readonly #whole: CoreExports;
  readonly #forget: () => void;
  #ended = false;

  /** Use newHeap. */
  constructor({ id, root, core, host, views, forget }: SubHeapParts) {
    super(coreWithin(core, id), host, views);
    this.id = id;
    this.#root = root;
    this.#whole = core;
    this.#forget = forget;
  }

  /** Bytes of the slices of 64 KiB that its pages have: what its `maximum` limits. */
  get heldBytes(): number {
    this.checkLive();
    return heldRead(this.u32, this.#root.source.start, this.id);
  }

  /** Gives every page without live blocks back to the free slices of the memory. */
  collect(): void {
    this.#root.walk(() => this.core.heapCollect(false));
  }

  /** Whether an address lies in a block, live or free, of this heap. */
  override contains(ptr: number): boolean {
    checkPointer(ptr);
    return runTold(() => this.core.heapOf(ptr) >>> 0 === this.id);
  }

  /**
   * Whether an address is aligned to 8 and lies in a block of this heap. As in mimalloc also true
   * for freed blocks and for addresses inside blocks.
   */
  checkOwned(ptr: number): boolean {
    return this.contains(ptr) && ptr % 8 === 0;
  }

  /**
   * Calls `areas` for each run of memory that holds blocks of this heap, then `visit` with address
   * and usable size of its live blocks, all in address order; false from either stops. Returns
   * whether none stopped it.
   *
   * @example
   * scratch.visitBlocks((ptr, size) => console.log(ptr, size));
   */
  visitBlocks(visit: BlockVisitor | undefined, { areas }: VisitOptions = {}): boolean {
    this.checkLive();
    const { remoteTakeAll } = this.core as Partial<SharedCoreExports>;
    if (remoteTakeAll) this.#root.walk(remoteTakeAll);
    const owner = (heap: number) => heap === this.id;
    const { source, blockNext: next } = this.#root;
    return blocksVisit(this.u32, source.start, visit, { owner, areas, next });
  }

  /**
   * Ends the heap with all its blocks, which no thread may use any more; with `keepBlocks` they
   * stay valid and belong to the backing heap. If it was the default heap, the backing heap becomes
   * that. The backing heap itself stays, with its blocks. Every later call throws.
   *
   * @throws HeapError ERR_HEAP_DESTROYED when it has ended already.
   * @example
   * const scratch = heap.newHeap();
   * const ptr = scratch.malloc(100);
   * scratch.destroy({ keepBlocks: true });
   * heap.free(ptr);
   */
  destroy({ keepBlocks = false }: DestroyOptions = {}): void {
    this.checkLive();
    if (this.id === this.#whole.heapBacking() >>> 0) return;
    this.#root.walk(() => {
      if (keepBlocks) this.#whole.heapDelete(this.id);
      else this.#whole.heapDestroy(this.id);
    });
    this.end(heapDestroyed);
  }

  /** `destroy`, at the end of a scope; nothing if it has ended already. */
  [Symbol.dispose](): void {
    if (!this.#ended) this.destroy();
  }

  /** @internal Also when the heap that it is beside ends. */
  override end(error: () => HeapError): void {
    this.#ended = true;
    super.end(error);
    this.#forget();
  }
}

/** The core, working on one heap for the length of each call. */
function coreWithin(core: CoreExports, id: number): CoreExports {
  const within =
    (call: (...args: number[]) => unknown) =>
    (...args: number[]) => {
      const was = core.heapBind(id);
      try {
        return call(...args);
      } finally {
        core.heapBind(was);
      }
    };
  const calls = Object.entries(core).filter(([, call]) => typeof call === "function");
  return Object.fromEntries(
    calls.map(([name, call]) => [name, within(call)]),
  ) as unknown as CoreExports;
}
