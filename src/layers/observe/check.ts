/** Finds blocks that were not put, put twice, or never got. */
import { defineLayer, type Layer } from "../pool/contract.ts";
import { Counter } from "../pool/counter.ts";
import { blocksLeaked, type Held, putForeign, putMismatch, putTwice } from "../pool/errors.ts";

export interface CheckTraits {
  readonly sized: true;
  readonly drops: true;
  readonly owns: true;
}

export interface CheckOptions {
  /** Called by destroy with the blocks that were not put, instead of the error. */
  onLeak?: ((leaks: readonly Held[]) => void) | undefined;
}

/**
 * Keeps a table of blocks. put throws for a block that was put before, that this layer never gave,
 * or that has another size. destroy gives what is left back to the source and then tells of it.
 * Price: a table entry a block, and one for each address that was ever put.
 *
 * @throws LayerError from put and, without onLeak, from destroy.
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
          if (leaks.length > 0) leaksTell(leaks, options);
        },
        owns: (ptr) => table.live.has(ptr),
        stats: () => counter.stats(),
      },
    );
  };
}

function leaksTell(leaks: readonly Held[], { onLeak }: CheckOptions): void {
  if (!onLeak) throw blocksLeaked(leaks);
  onLeak(leaks);
}

class Table {
  /** Sizes of live blocks. */
  readonly live = new Map<number, number>();
  /** Addresses of blocks that were put. */
  readonly #past = new Set<number>();

  add(ptr: number, size: number): void {
    this.live.set(ptr, size);
  }

  remove(ptr: number, size: number): void {
    const known = this.live.get(ptr);
    if (known === undefined) throw this.#past.has(ptr) ? putTwice(ptr) : putForeign(ptr);
    if (known !== size) throw putMismatch(ptr, known, size);
    this.live.delete(ptr);
    this.#past.add(ptr);
  }

  clear(): Held[] {
    const leaks = [...this.live].map(([ptr, size]) => ({ ptr, size }));
    this.live.clear();
    this.#past.clear();
    return leaks;
  }
}
