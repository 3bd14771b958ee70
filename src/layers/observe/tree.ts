/** A look at compositions: figures of one pool, and all of them as a tree. */
import type { Pool } from "../pool/contract.ts";
import type { PoolStats } from "../pool/counter.ts";

/**
 * Figures of a pool as they are now; undefined for pools that do not count.
 *
 * @example
 * statsOf(pool)?.peak
 */
export function statsOf(pool: Pool): PoolStats | undefined {
  return pool.stats?.();
}

/**
 * A composition as text: one line a pool, each two columns right of the one that stands on it,
 * with the figures of those that count.
 */
export function formatTree(pool: Pool): string {
  return linesOf(pool, "").join("\n");
}

function linesOf(pool: Pool, indent: string): string[] {
  const figures = statsOf(pool);
  const line = figures ? `${indent}${pool.name}: ${sentence(figures)}` : indent + pool.name;
  return [line, ...pool.below.flatMap((below) => linesOf(below, `${indent}  `))];
}

function sentence({ allocations, frees, bytes, peak, held }: PoolStats): string {
  return `${allocations} got, ${frees} put, ${bytes} bytes in use, peak ${peak}, holds ${held}`;
}
