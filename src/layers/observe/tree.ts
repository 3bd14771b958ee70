/** The statistics of one pool, and those of a composition as text. */

import type { Pool } from "../pool/contract.ts";
import type { PoolStats } from "../pool/counter.ts";
import { requirePool } from "../pool/errors.ts";

/**
 * The statistics of a pool as they are now; undefined for pools that do not count.
 *
 * @example
 * statsOf(pool)?.peak; // 100
 */
export function statsOf(pool: Pool): PoolStats | undefined {
  requirePool("statsOf", pool);
  return pool.stats?.();
}

/**
 * A composition as text: a line for each pool, indented by two columns more than the pool above it,
 * with the statistics of those that count.
 *
 * @example
 * console.log(formatTree(pool));
 */
export function formatTree(pool: Pool): string {
  requirePool("formatTree", pool);
  return linesOf(pool, "").join("\n");
}

function linesOf(pool: Pool, indent: string): string[] {
  const stats = statsOf(pool);
  const line = stats ? `${indent}${pool.name}: ${sentence(stats)}` : indent + pool.name;
  return [line, ...pool.below.flatMap((below) => linesOf(below, `${indent}  `))];
}

function sentence({ allocations, frees, bytes, peak, held }: PoolStats): string {
  return `${allocations} got, ${frees} put, ${bytes} bytes in use, peak ${peak}, holds ${held}`;
}
