/** A line of text for each call. */
import { hex } from "../../common/errors.ts";
import { defineLayer, type Layer } from "../pool/contract.ts";

/**
 * Calls `write` with a line for each `get`, `put` and `destroy`.
 *
 * @throws TypeError unless write is a function.
 * @example
 * const pool = pipe(std(heap), log(console.log));
 * pool.get(100); // get 100 -> 0x20400
 */
export function log(write: (line: string) => void): Layer<Record<never, never>> {
  if (typeof write !== "function") throw new TypeError("log: write must be a function");
  return (source) =>
    defineLayer(
      "log",
      source,
      {},
      {
        get(size) {
          const ptr = source.get(size);
          write(`get ${size} -> ${hex(ptr)}`);
          return ptr;
        },
        put(ptr, size) {
          write(`put ${hex(ptr)} ${size}`);
          source.put(ptr, size);
        },
        destroy() {
          write("destroy");
          source.destroy();
        },
      },
    );
}
