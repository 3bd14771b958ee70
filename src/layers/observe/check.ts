/** Finds blocks that were not put, that were put twice, and pointers that are not blocks. */
import { defineLayer, type Layer } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { doubleFree, type Held, notABlock, poolLeak, sizeMismatch } from "../pool/errors.ts";

/** The traits that `check` changes. */
export interface CheckTraits {
  /** `put` needs the size that `get` was given. */
  readonly sized: true;
  /** `destroy` gives all memory back to the source, including blocks that were never put. */
  readonly drops: true;
  /** `owns` tells the blocks of this pool from those of other pools. */
  readonly owns: true;
}

/** Options of `check`. */
export interface CheckOptions {
  /** Called by `destroy` with the blocks that were not put; without it `destroy` throws. */
  onLeak?: ((leaks: readonly Held[]) => void) | undefined;
}

/**
 * Keeps a table of blocks. `put` throws for a block that was put before, for an address that this
 * layer never gave, and for a block of another size. `destroy` gives the blocks that are left back
 * to the source and then reports them. Price: a table entry for each block, and one for each
 * address that was put.
 *
 * @throws LayerError: `put` ERR_DOUBLE_FREE, ERR_NOT_A_BLOCK or ERR_SIZE_MISMATCH, and without
 * onLeak `destroy` ERR_LEAK.
 * @example
 * const pool = pipe(std(heap), check());
 */
export function check(options: CheckOptions = {}): Layer<CheckTraits> {
  return (source) => {
    const table = new Table();
    const counter = new Counter();
    return defineLayer(
      "check",
      source,
      { sized: true, drops: true, owns: true },
      {
        get(size) {
          const ptr = source.get(size);
          if (ptr === 0) return 0;
          table.add(ptr, size);
          counter.got(size);
          return ptr;
        },
        put(ptr, size) {
          table.remove(ptr, size);
          source.put(ptr, size);
          counter.put(size);
        },
        destroy() {
          const leaks = table.clear();
          for (const { ptr, size } of leaks) source.put(ptr, size);
          counter.drop();
          source.destroy();
          if (leaks.length > 0) reportLeaks(leaks, options);
        },
        owns: (ptr) => table.live.has(ptr),
        stats: () => counter.stats(),
      },
    );
  };
}

function reportLeaks(leaks: readonly Held[], { onLeak }: CheckOptions): void {
  if (!onLeak) throw poolLeak(leaks);
  onLeak(leaks);
}

class Table {
  /** Sizes of live blocks. */
  readonly live = new Map<number, number>();
  /** Addresses of blocks that were put. */
  readonly #freed = new Set<number>();

  add(ptr: number, size: number): void {
    this.live.set(ptr, size);
  }

  remove(ptr: number, size: number): void {
    const known = this.live.get(ptr);
    if (known === undefined) throw this.#freed.has(ptr) ? doubleFree(ptr) : notABlock(ptr);
    if (known !== size) throw sizeMismatch(ptr, known, size);
    this.live.delete(ptr);
    this.#freed.add(ptr);
  }

  clear(): Held[] {
    const leaks = [...this.live].map(([ptr, size]) => ({ ptr, size }));
    this.live.clear();
    this.#freed.clear();
    return leaks;
  }
}
