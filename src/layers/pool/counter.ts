/** The one view on what a pool counts. */

export interface PoolStats {
  /** How many blocks were got. */
  readonly allocations: number;
  /** How many blocks were put. */
  readonly frees: number;
  /** Bytes of blocks in use, as they were asked for (as they are, where the pool has no sizes). */
  readonly bytes: number;
  /** The most that bytes has been. */
  readonly peak: number;
  /** Bytes from the source that are in no block in use: headers, slack, blocks kept for later. */
  readonly held: number;
}

/** Keeps the books of a layer. A layer that takes other sizes than it gives tells take and give. */
export class Counter {
  allocations = 0;
  frees = 0;
  bytes = 0;
  peak = 0;
  /** Bytes that the layer has from its source. */
  taken = 0;

  got(size: number): void {
    this.allocations += 1;
    this.bytes += size;
    if (this.bytes > this.peak) this.peak = this.bytes;
  }

  put(size: number): void {
    this.frees += 1;
    this.bytes -= size;
  }

  take(size: number): void {
    this.taken += size;
  }

  give(size: number): void {
    this.taken -= size;
  }

  /** All blocks are gone at once: nothing is in use; what was counted stays. */
  drop(): void {
    this.bytes = 0;
    this.taken = 0;
  }

  stats(): PoolStats {
    const { allocations, frees, bytes, peak, taken } = this;
    return { allocations, frees, bytes, peak, held: Math.max(0, taken - bytes) };
  }
}
