/** What a pool counts. */

/** Statistics of one pool or region. All numbers are whole and not negative. */
export interface PoolStats {
  /** Number of blocks that `get` has returned. */
  readonly allocations: number;
  /** Number of blocks that were put. */
  readonly frees: number;
  /**
   * Bytes of the blocks in use: the sizes that were asked for, or the sizes of the blocks where the
   * pool does not know those.
   */
  readonly bytes: number;
  /** The largest value that `bytes` has had. */
  readonly peak: number;
  /** Bytes from the source that are in no block in use: headers, slack, blocks kept for later. */
  readonly held: number;
}

/**
 * Counts for a layer. Call `got` and `put` for each block; a layer that takes other sizes from its
 * source than it gives calls `take` and `give` as well. Read `stats()`.
 *
 * @example
 * const counter = new Counter();
 * counter.got(100);
 * counter.stats().bytes; // 100
 */
export class Counter {
  /** Number of blocks that the layer has given. */
  allocations = 0;
  /** Number of blocks that were put. */
  frees = 0;
  /** Bytes of the blocks in use. */
  bytes = 0;
  /** The largest value that `bytes` has had. */
  peak = 0;
  /** Bytes that the layer has from its source. */
  taken = 0;

  /** Counts a block of `size` bytes that the layer gives. */
  got(size: number): void {
    this.allocations += 1;
    this.bytes += size;
    if (this.bytes > this.peak) this.peak = this.bytes;
  }

  /** Counts a block of `size` bytes that is put. */
  put(size: number): void {
    this.frees += 1;
    this.bytes -= size;
  }

  /** Counts `size` bytes that the layer takes from its source. */
  take(size: number): void {
    this.taken += size;
  }

  /** Counts `size` bytes that the layer gives back to its source. */
  give(size: number): void {
    this.taken -= size;
  }

  /** All blocks go at once: nothing is in use any more. The numbers of blocks and the peak stay. */
  drop(): void {
    this.bytes = 0;
    this.taken = 0;
  }

  /** The statistics as they are now. `held` is 0 for a layer that does not call `take`. */
  stats(): PoolStats {
    const { allocations, frees, bytes, peak, taken } = this;
    return { allocations, frees, bytes, peak, held: Math.max(0, taken - bytes) };
  }
}
