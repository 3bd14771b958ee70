/** The end of a shared memory as a source that all threads may use at once. */
import { wrongKind } from "../../common/errors.ts";
import { checkObject, tagOf } from "../../common/kinds.ts";
import { definePool, type Pool, roundToGranules, type TraitsWith } from "../pool/contract.ts";
import { checkWord } from "../pool/errors.ts";

/** What `sharedBump` returns. */
export type SharedBump = Pool<TraitsWith<16, "sized" | "zeroed">>;

/** Options of `sharedBump`; all threads must pass the same. */
export interface SharedBumpOptions {
  /** Offset of the first byte that is given; rounded up to a multiple of 16. Default: 16. */
  from?: number | undefined;
  /** Offset of the byte after the last. Default: the end of the buffer. */
  to?: number | undefined;
  /** Index of the element of `word` that counts. Default: 0. */
  index?: number | undefined;
}

/**
 * Blocks one after the other from a SharedArrayBuffer. All threads make it with the same options
 * and the same word, which is 0 at first and in which they count by atomic operations: no lock is
 * needed. The buffer must be zero. `put` frees nothing and `destroy` gives nothing back, because
 * other threads may have blocks: put layers that keep blocks on top, in each thread or below one
 * lock. A block that passes those layers is lost when it is put: one above `largest` of
 * `magazines`, for example.
 *
 * @param buffer the memory that blocks come from.
 * @param word an Int32Array over a SharedArrayBuffer, the same in all threads.
 * @throws TypeError or RangeError for options out of range.
 * @example
 * const pool = pipe(sharedBump(buffer, word), chunk(), segregated());
 */
export function sharedBump(
  buffer: SharedArrayBuffer,
  word: Int32Array,
  options: SharedBumpOptions = {},
): SharedBump {
  if (tagOf(buffer) !== "SharedArrayBuffer") {
    throw wrongKind("sharedBump: buffer", "a SharedArrayBuffer", buffer);
  }
  checkObject("sharedBump: options", options);
  const { to = buffer.byteLength, index = 0 } = options;
  const from = roundToGranules(options.from ?? 16);
  checkWord("sharedBump", word, index, true);
  if (to > buffer.byteLength) {
    throw new RangeError(`sharedBump: to must be at most ${buffer.byteLength}, not ${to}`);
  }
  const bytes = new Uint8Array(buffer);
  const words = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  const granules = Math.floor((to - from) / 16);
  const traits = { alignment: 16, sized: true, drops: false, owns: false, zeroed: true } as const;
  return definePool("sharedBump", traits, { bytes: () => bytes, u32: () => words }, [], {
    /**
     * Adds only what fits: an addition that had to be undone would make requests of other threads
     * fail meanwhile.
     */
    get(size) {
      const need = roundToGranules(size) / 16;
      let at = Atomics.load(word, index);
      for (;;) {
        if (at + need > granules) return 0;
        const before = Atomics.compareExchange(word, index, at, at + need);
        if (before === at) return from + 16 * at;
        at = before;
      }
    },
    put() {},
    destroy() {},
  });
}
