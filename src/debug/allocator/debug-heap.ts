/** Heaps beside a debug allocator: blocks that belong together, and can be freed together. */
import { checkPointer } from "../../common/checks.ts";
import { heapDestroyed } from "../../common/errors.ts";
import type { BlockVisitor } from "../../heap/stats/walk.ts";
import type { DestroyOptions } from "../../heap/sub-heap.ts";
import { MAIN_HEAP } from "../store/block.ts";
import { DebugAllocatorBase } from "./allocator-base.ts";
import type { DebugCore } from "./debug-core.ts";
import { type DebugVisitOptions, itemsVisit } from "./visit.ts";

/**
 * A heap of the kind that Heap.newHeap makes, checked: its leaks and mistakes are reported as those
 * of the allocator are, and after `destroy` its blocks count as freed by that call. All its blocks
 * are guarded, also when the allocator samples.
 *
 * @example
 * const heap = debug(createHeap());
 * const scratch = heap.newHeap();
 * const ptr = scratch.malloc(100);
 * scratch.destroy();
 * heap.free(ptr); // reported: a double free
 */
export class DebugHeap extends DebugAllocatorBase implements Disposable {
  /** The number by which C programs (`mi_heap_malloc` and others) know it. */
  readonly id: number;
  #ended = false;

  /** Use newHeap. */
  constructor(core: DebugCore, id: number) {
    super(core, id);
    this.id = id;
  }

  /** Gives back what quarantine holds, and pages without live blocks. */
  collect(): void {
    this.core.collect(this.sites.collect);
  }

  /** Whether an address lies in a live block of this heap. */
  override contains(ptr: number): boolean {
    checkPointer(ptr);
    return this.core.heapOf(ptr) === this.id;
  }

  /** Whether an address is aligned to 8 and lies in a live block of this heap. */
  checkOwned(ptr: number): boolean {
    return this.contains(ptr) && ptr % 8 === 0;
  }

  /**
   * Calls `areas` for each run of memory that holds blocks of the heap, then `visit` with address
   * and size of its live blocks, all in address order; false from either stops. Returns whether
   * none stopped it.
   */
  visitBlocks(visit: BlockVisitor | undefined, options: DebugVisitOptions = {}): boolean {
    const items = this.core.blocks.table.items();
    return itemsVisit(items, ({ heap }) => heap === this.id, visit, options);
  }

  /**
   * Ends the heap with all its blocks; with `keepBlocks` they stay valid and belong to the backing
   * heap. The backing heap itself stays, with its blocks. Every later call throws.
   *
   * @throws HeapError ERR_HEAP_DESTROYED when it has ended already.
   */
  destroy({ keepBlocks = false }: DestroyOptions = {}): void {
    this.core.checkLive();
    if (this.id === MAIN_HEAP) return;
    if (keepBlocks) this.core.heapDelete(this.id);
    else this.core.heapDestroy(this.sites.destroy, this.id);
    this.end(heapDestroyed);
  }

  /** `destroy`, at the end of a scope; nothing if it has ended already. */
  [Symbol.dispose](): void {
    if (!this.#ended) this.destroy();
  }

  /** @internal Also when the allocator that it is beside ends. */
  override end(error: () => Error): void {
    this.#ended = true;
    super.end(error);
  }
}
