/** The choice of the allocations that are sampled: each with the same chance, from a seed. */

/**
 * Returns a function that draws how many allocations pass before the next sample, on average
 * `every - 1`. Gaps are geometric, so that a sample follows no pattern of the program.
 */
export function gapsOf(every: number, seed: number): () => number {
  if (every === 1) return () => 0;
  const share = randomOf(seed);
  const scale = Math.log1p(-1 / every);
  return () => Math.floor(Math.log(1 - share()) / scale);
}

/** Numbers from 0 to below 1 (mulberry32, Tommy Ettinger). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
