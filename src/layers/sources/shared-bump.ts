/** The end of a shared memory as a source that all threads may use at once. */
import { definePool, type Pool, roundToGranules } from "../pool/contract.ts";
import { wordCheck } from "../pool/errors.ts";

export type SharedBump = Pool<{
  readonly alignment: 16;
  readonly sized: true;
  readonly drops: false;
  readonly owns: false;
  readonly zeroed: true;
}>;

export interface SharedBumpOptions {
  /** First byte that is given; rounded up to 16. Default: 16. */
  from?: number | undefined;
  /** Byte behind the last. Default: the end of the buffer. */
  to?: number | undefined;
  /** Which element of `word` counts. Default: 0. */
  index?: number | undefined;
}

/**
 * Blocks one behind the other from a SharedArrayBuffer. All threads make it with the same options
 * and the same word, zero at first, in which they count by atomic additions: no lock is needed. The
 * buffer must be zero. put frees nothing and destroy gives nothing back, as other threads may hold
 * blocks: put layers that keep on top, in each thread, or under one lock. Blocks that pass those
 * layers are lost when they are put: those above `largest` of `magazines`, for example.
 *
 * @throws TypeError or RangeError for options that make no sense.
 * @example
 * const pool = pipe(sharedBump(buffer, word), chunk(), segregated());
 */
export function sharedBump(
  buffer: SharedArrayBuffer,
  word: Int32Array,
  options: SharedBumpOptions = {},
): SharedBump {
  const { to = buffer.byteLength, index = 0 } = options;
  const from = roundToGranules(options.from ?? 16);
  wordCheck("sharedBump", word, index, true);
  if (to > buffer.byteLength) {
    throw new RangeError(`sharedBump: to must be at most ${buffer.byteLength}, not ${to}`);
  }
  const bytes = new Uint8Array(buffer);
  const words = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  const room = Math.floor((to - from) / 16);
  const traits = { alignment: 16, sized: true, drops: false, owns: false, zeroed: true } as const;
  return definePool("sharedBump", traits, { bytes: () => bytes, u32: () => words }, [], {
    /** Adds only what fits: an addition that had to be taken back would fail others meanwhile. */
    get(size) {
      const need = roundToGranules(size) / 16;
      let at = Atomics.load(word, index);
      for (;;) {
        if (at + need > room) return 0;
        const before = Atomics.compareExchange(word, index, at, at + need);
        if (before === at) return from + 16 * at;
        at = before;
      }
    },
    put() {},
    destroy() {},
  });
}
