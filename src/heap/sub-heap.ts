/** Heaps beside a heap. */

import { checkPointer } from "../common/checks.ts";
import { type HeapError, heapDeleted, heapDestroyed } from "../common/errors.ts";
import type { CoreExports, SharedCoreExports } from "../core/contract.ts";
import type { HeapHost } from "./calls/allocation.ts";
import { AllocationFamily } from "./calls/family.ts";
import type { Heap, VisitOptions } from "./heap.ts";
import { type BlockVisitor, blocksVisit, heldRead } from "./stats/walk.ts";

interface FirstClassParts {
  id: number;
  root: Heap;
  core: CoreExports;
  host: HeapHost;
  forget(): void;
}

/**
 * A heap of mimalloc's kind beside the first one of a thread: the same calls, its own pages. What
 * it allocates can be freed and resized through any heap of the memory; a block that moves goes to
 * the heap that resizes it. It belongs to the thread that made it, and ends with its Heap.
 *
 * @example
 * const heap = createHeap();
 * using scratch = heap.newHeap(); // destroyed at the end of the scope
 * heap.free(scratch.malloc(100));
 */
export class FirstClassHeap extends AllocationFamily {
  /** What the memory and C programs know it by. */
  readonly id: number;
  /** The heap that made it, which has the views of the memory. */
  readonly root: Heap;
  readonly #whole: CoreExports;
  readonly #forget: () => void;

  /** Use newHeap. */
  constructor({ id, root, core, host, forget }: FirstClassParts) {
    super(coreWithin(core, id), host);
    this.id = id;
    this.root = root;
    this.#whole = core;
    this.#forget = forget;
  }

  /** Bytes of the slices that its pages have: what its `maximum` is about. */
  get heldBytes(): number {
    this.core.goodSize(0); // throws if the heap has ended
    return heldRead(this.root.u32, this.root.source.start, this.id);
  }

  /** Gives every page without live blocks back. */
  collect(): void {
    this.core.heapCollect(false);
  }

  /** Whether an address lies in a block, live or free, of this heap. */
  override contains(ptr: number): boolean {
    checkPointer(ptr);
    return this.core.heapOf(ptr) >>> 0 === this.id;
  }

  /**
   * Whether an address is aligned to 8 and lies in a block of this heap. As in mimalloc also true
   * for freed blocks and for addresses inside blocks.
   */
  checkOwned(ptr: number): boolean {
    return this.contains(ptr) && ptr % 8 === 0;
  }

  /**
   * Calls `areas` for each run of memory that holds blocks of this heap, then `visit` for its live
   * blocks, all in address order; false from either stops. Answers whether none stopped it.
   */
  visitBlocks(visit: BlockVisitor | undefined, { areas }: VisitOptions = {}): boolean {
    this.core.goodSize(0); // throws if the heap has ended
    (this.core as Partial<SharedCoreExports>).remoteTakeAll?.();
    const owner = (heap: number) => heap === this.id;
    return blocksVisit(this.root.u32, this.root.source.start, visit, {
      owner,
      areas,
      next: this.root.blockNext,
    });
  }

  /**
   * Ends the heap; its blocks stay valid and belong to the backing heap. The backing heap itself
   * stays. If it was the default heap, the backing heap is that then.
   */
  delete(): void {
    this.#end((id) => this.#whole.heapDelete(id), heapDeleted);
  }

  /**
   * Ends the heap with all its blocks, which nobody may use any more, no other thread either. The
   * backing heap stays, with its blocks.
   */
  destroy(): void {
    this.#end((id) => this.#whole.heapDestroy(id), heapDestroyed);
  }

  [Symbol.dispose](): void {
    if (this.#alive()) this.destroy();
  }

  /** The heap that it is beside has ended. */
  endWith(error: () => HeapError): void {
    this.end(error);
    this.#forget();
  }

  #end(ending: (id: number) => void, error: () => HeapError): void {
    this.core.goodSize(0); // throws if the heap has ended
    if (this.root.backingHeap === this) return;
    ending(this.id);
    this.endWith(error);
  }

  #alive(): boolean {
    return this.root.knows(this);
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
