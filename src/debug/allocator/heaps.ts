/** Heaps beside a debug allocator: blocks that belong together, and can go together. */
import { checkPointer } from "../../common/checks.ts";
import { heapDestroyed } from "../../common/errors.ts";
import type { BlockVisitor } from "../../heap/stats/walk.ts";
import type { DestroyOptions } from "../../heap/sub-heap.ts";
import { MAIN_HEAP } from "../store/block.ts";
import type { DebugAllocator } from "./allocator.ts";
import type { Calls } from "./calls.ts";
import { DebugFamily } from "./family.ts";
import { type DebugVisitOptions, itemsVisit } from "./visit.ts";

/**
 * A heap of the kind that Heap.newHeap makes, watched: its leaks and mistakes are reported as those
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
export class DebugHeap extends DebugFamily implements Disposable {
  /** What C programs know it by. */
  readonly id: number;
  /** The allocator that made it. */
  readonly root: DebugAllocator;
  readonly #calls: Calls;

  /** Use newHeap. */
  constructor(root: DebugAllocator, calls: Calls, id: number) {
    super(calls, id);
    this.root = root;
    this.#calls = calls;
    this.id = id;
  }

  /** Gives back what quarantine holds, and pages without live blocks. */
  collect(): void {
    this.verbs.goodSize(this.at.collect, 0); // throws if the heap has ended
    this.#calls.collect(this.at.collect);
  }

  /** Whether an address lies in a live block of this heap. */
  contains(ptr: number): boolean {
    checkPointer(ptr);
    this.verbs.goodSize(this.at.contains, 0);
    return this.#calls.heapOf(ptr) === this.id;
  }

  /** Whether an address is aligned to 8 and lies in a live block of this heap. */
  checkOwned(ptr: number): boolean {
    return this.contains(ptr) && ptr % 8 === 0;
  }

  /** Calls `visit` with address and size of every live block of the heap, in address order. */
  visitBlocks(visit: BlockVisitor | undefined, options: DebugVisitOptions = {}): boolean {
    this.verbs.goodSize(this.at.contains, 0);
    const items = this.#calls.blocks.table.items();
    return itemsVisit(items, ({ heap }) => heap === this.id, visit, options);
  }

  /**
   * Ends the heap with all its blocks; with `keepBlocks` they stay valid and belong to the backing
   * heap. The backing heap itself stays, with its blocks. Every later call throws.
   */
  destroy({ keepBlocks = false }: DestroyOptions = {}): void {
    this.verbs.goodSize(this.at.destroy, 0);
    if (this.id === MAIN_HEAP) return;
    if (keepBlocks) this.#calls.heapDelete(this.id);
    else this.#calls.heapDestroy(this.at.destroy, this.id);
    this.end(heapDestroyed);
  }

  [Symbol.dispose](): void {
    if (this.root.knows(this)) this.destroy();
  }

  /** The allocator that it is beside has ended. */
  endWith(error: () => Error): void {
    this.end(error);
  }
}
