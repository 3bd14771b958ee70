/**
 * Writes what passes as a trace of the format that `terrane replay` reads. The writer lives here
 * and not with the reader: it is two lines of text, and that room may not be imported.
 */
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Calls `write` with a line for each block that is got (`m ID SIZE`) or put (`f ID`). IDs count up
 * from 1, also over a destroy. Blocks that a destroy drops are put as far as the trace goes. realloc
 * and calloc of an allocator above show as what they do to the pool. Price: a table entry a block.
 *
 * @throws TypeError unless write is a function.
 * @example
 * const lines: string[] = [];
 * const pool = pipe(std(heap), trace((line) => lines.push(line)));
 */
export function trace(write: (line: string) => void): Layer<Record<never, never>> {
  if (typeof write !== "function") throw new TypeError("trace: write must be a function");
  return (source) => {
    const ids = new Map<number, number>();
    let last = 0;
    function end(ptr: number): void {
      const id = ids.get(ptr);
      if (id === undefined) return; // no block of ours: not the trace's affair
      ids.delete(ptr);
      write(`f ${id}`);
    }
    return defineLayer(
      "trace",
      source,
      {},
      {
        get(size) {
          const ptr = source.get(size);
          if (ptr === 0) return 0;
          last += 1;
          ids.set(ptr, last);
          write(`m ${last} ${size}`);
          return ptr;
        },
        put(ptr, size) {
          source.put(ptr, size);
          end(ptr);
        },
        destroy() {
          if (source.traits.drops) for (const ptr of [...ids.keys()]) end(ptr);
          source.destroy();
        },
      },
    );
  };
}
