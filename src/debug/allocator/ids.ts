/** Which heaps there are beside a debug allocator, by the ids that their blocks carry. */
import { heapDestroyed } from "../../common/errors.ts";
import { HEAPS_LIMIT, MAIN_HEAP } from "../store/block.ts";

export class HeapIds {
  /** The heap of calls that name none. */
  default = MAIN_HEAP;
  readonly #live = new Set([MAIN_HEAP]);
  readonly #draw: () => number;

  /** @param draw Returns a number that no heap has had, of any thread that shares the memory. */
  constructor(draw: () => number = counting()) {
    this.#draw = draw;
  }

  /** A new id, never used before; 0 when there were 2^23 already. */
  draw(): number {
    const id = this.#draw();
    if (id > HEAPS_LIMIT) return 0;
    this.#live.add(id);
    return id;
  }

  has(id: number): boolean {
    return this.#live.has(id);
  }

  /**
   * The heap that a call names, or the default one. C may have kept an id for too long.
   *
   * @throws HeapError ERR_HEAP_DESTROYED.
   */
  of(id: number | undefined): number {
    if (id === undefined) return this.default;
    if (!this.#live.has(id)) throw heapDestroyed();
    return id;
  }

  /** Ends a heap. Returns whether there was such a heap, and it was not the first, which stays. */
  end(id: number): boolean {
    if (id === MAIN_HEAP || !this.#live.delete(id)) return false;
    if (this.default === id) this.default = MAIN_HEAP;
    return true;
  }

  endAll(): void {
    for (const id of this.#live) this.end(id);
  }
}

function counting(): () => number {
  let last = MAIN_HEAP;
  return () => ++last;
}
