/**
 * Samples of allocations, by bytes: every byte that is asked for has the same chance to be a sample
 * point, so large blocks are sampled more often, and the bytes that samples stand for add up to
 * what was allocated. What V8's sampling heap profiler does for JavaScript's own heap.
 */
import { checkFunction } from "../../common/checks.ts";
import { typeName } from "../../common/errors.ts";
import type { AllocationListener } from "./contract.ts";

/**
 * Called with the address of a block that was just allocated for a request of `size` bytes, and the
 * bytes that this sample stands for.
 */
export type Sampled = (ptr: number, size: number, bytes: number) => void;

/** Options of registerSampler. */
export interface SamplerOptions {
  /**
   * Called with the address of each sampled block that is freed; every free of the thread takes
   * longer then. Default: none.
   */
  freed?: ((ptr: number) => void) | undefined;
  /** A number: the same seed takes the same samples of the same allocations. Default: random. */
  seed?: number | undefined;
  /**
   * Takes a sample every `everyBytes` bytes exactly, and misses what a program allocates in step
   * with that. Default: false.
   */
  fixed?: boolean | undefined;
}

/** Gaps between sample points. */
type Gap = () => number;

/** Of a process in which every byte is as likely as any other: exponentially distributed. */
function poisson(every: number, random: () => number): Gap {
  const limit = 2 ** 31;
  return () => Math.min(limit, Math.max(1, Math.ceil(-Math.log(1 - random()) * every)));
}

/** Numbers in [0, 1): a counter, mixed (splitmix32, Steele et al. 2014, in 32 bits). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Counts bytes down to sample points, and reports the blocks that hold some. */
export class Sampler implements AllocationListener {
  left: number;
  readonly frees: boolean;
  readonly #every: number;
  readonly #gap: Gap;
  readonly #sampled: Sampled;
  readonly #freed: ((ptr: number) => void) | undefined;
  /** Sampled blocks that live, if there is a function for their end. */
  readonly #live = new Set<number>();
  #inside = false;

  constructor(every: number, sampled: Sampled, { freed, seed, fixed }: SamplerOptions) {
    const random = randomOf(seed ?? Math.random() * 2 ** 32);
    this.#every = every;
    this.#gap = fixed ? () => every : poisson(every, random);
    this.#sampled = sampled;
    this.#freed = freed;
    this.frees = freed !== undefined;
    this.left = this.#gap();
  }

  allocated(ptr: number, size: number): void {
    if (size < this.left) {
      this.left -= size;
      return;
    }
    const points = this.#points(size - this.left);
    // What the function allocates itself is not a sample of the program.
    if (this.#inside) return;
    if (this.frees) this.#live.add(ptr);
    this.#guarded(() => this.#sampled(ptr, size, points * this.#every));
  }

  /** The sample points in a block that goes on for `rest` bytes behind the first one. */
  #points(rest: number): number {
    let points = 1;
    let behind = rest;
    let gap = this.#gap();
    for (; gap <= behind; gap = this.#gap()) {
      behind -= gap;
      points += 1;
    }
    this.left = gap - behind;
    return points;
  }

  freed(ptr: number): void {
    if (this.#live.delete(ptr)) this.#guarded(() => this.#freed?.(ptr));
  }

  #guarded(call: () => void): void {
    const was = this.#inside;
    this.#inside = true;
    try {
      call();
    } finally {
      this.#inside = was;
    }
  }
}

/** @throws TypeError or RangeError for wrong arguments. */
export function createSampler(every: number, sampled: Sampled, options: SamplerOptions): Sampler {
  if (typeof every !== "number") {
    throw new TypeError(`everyBytes must be a number, not ${typeName(every)}`);
  }
  if (!Number.isInteger(every) || every < 1 || every > 2 ** 30) {
    throw new RangeError(`everyBytes must be a whole number from 1 to 1073741824, not ${every}`);
  }
  if (typeof sampled !== "function") {
    throw new TypeError(`sampled must be a function, not ${typeName(sampled)}`);
  }
  checkFunction("freed", options.freed);
  return new Sampler(every, sampled, options);
}
