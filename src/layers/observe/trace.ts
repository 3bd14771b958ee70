/**
 * Writes the calls as a trace in the format that `terrane replay` reads. The writer is here and not
 * beside the reader in src/trace, because layers must not import that module.
 */
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Calls `write` with a line for each block that is allocated (`m ID SIZE`) or put (`f ID`). IDs
 * count up from 1 and go on after `destroy`. Blocks that `destroy` drops get a line `f ID` too.
 * realloc and calloc of an allocator above appear as their calls of the pool. Price: a table entry
 * for each block, and the lines.
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
    function traceFree(ptr: number): void {
      const id = ids.get(ptr);
      if (id === undefined) return; // not a block of this layer: it has no line `m`
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
          traceFree(ptr);
        },
        destroy() {
          if (source.traits.drops) for (const ptr of [...ids.keys()]) traceFree(ptr);
          source.destroy();
        },
      },
    );
  };
}
