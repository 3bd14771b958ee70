/** Reproducible random numbers for tests. */

export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A number in 0 .. 2^32 - 1 (mulberry32). */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }

  /** A number in 0 .. count - 1. */
  below(count: number): number {
    return Math.floor((this.u32() / 0x100000000) * count);
  }

  /** A number in from .. to, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** from .. to, every doubling about as likely as any other. */
  skewed(from: number, to: number): number {
    const share = this.u32() / 0x100000000;
    return Math.floor(from * Math.exp(share * Math.log(to / from)));
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

/** The seed of a run: TERRANE_SEED, or the one the test has by default. */
export function seedOf(usual: number): number {
  const wish = process.env.TERRANE_SEED;
  return wish === undefined ? usual : Number(wish) >>> 0;
}
