/** Composition of layers as a flat list. */
import { wrongKind } from "../common/errors.ts";
import type { Pool } from "./pool/contract.ts";

type Step<A, B> = (source: A) => B;

/**
 * Puts layers on a source, the first one lowest: `pipe(std(heap), chunk(), stats())` is
 * `stats()(chunk()(std(heap)))`. Takes any number of layers; types follow the first 8, and the
 * result of more is a pool whose traits are known at run time only.
 *
 * @example
 * const pool = pipe(std(createHeap()), chunk(4096), stats());
 */
export function pipe<A extends Pool, B extends Pool>(source: A, b: Step<A, B>): B;
/** Puts 2 layers on a source, the first one lowest. */
export function pipe<A extends Pool, B extends Pool, C extends Pool>(
  source: A,
  b: Step<A, B>,
  c: Step<B, C>,
): C;
/** Puts 3 layers on a source, the first one lowest. */
export function pipe<A extends Pool, B extends Pool, C extends Pool, D extends Pool>(
  source: A,
  b: Step<A, B>,
  c: Step<B, C>,
  d: Step<C, D>,
): D;
/** Puts 4 layers on a source, the first one lowest. */
export function pipe<
  A extends Pool,
  B extends Pool,
  C extends Pool,
  D extends Pool,
  E extends Pool,
>(source: A, b: Step<A, B>, c: Step<B, C>, d: Step<C, D>, e: Step<D, E>): E;
/** Puts 5 layers on a source, the first one lowest. */
export function pipe<
  A extends Pool,
  B extends Pool,
  C extends Pool,
  D extends Pool,
  E extends Pool,
  F extends Pool,
>(source: A, b: Step<A, B>, c: Step<B, C>, d: Step<C, D>, e: Step<D, E>, f: Step<E, F>): F;
/** Puts 6 layers on a source, the first one lowest. */
export function pipe<
  A extends Pool,
  B extends Pool,
  C extends Pool,
  D extends Pool,
  E extends Pool,
  F extends Pool,
  G extends Pool,
>(
  source: A,
  b: Step<A, B>,
  c: Step<B, C>,
  d: Step<C, D>,
  e: Step<D, E>,
  f: Step<E, F>,
  g: Step<F, G>,
): G;
/** Puts 7 layers on a source, the first one lowest. */
export function pipe<
  A extends Pool,
  B extends Pool,
  C extends Pool,
  D extends Pool,
  E extends Pool,
  F extends Pool,
  G extends Pool,
  H extends Pool,
>(
  source: A,
  b: Step<A, B>,
  c: Step<B, C>,
  d: Step<C, D>,
  e: Step<D, E>,
  f: Step<E, F>,
  g: Step<F, G>,
  h: Step<G, H>,
): H;
/** Puts 8 layers on a source, the first one lowest. */
export function pipe<
  A extends Pool,
  B extends Pool,
  C extends Pool,
  D extends Pool,
  E extends Pool,
  F extends Pool,
  G extends Pool,
  H extends Pool,
  I extends Pool,
>(
  source: A,
  b: Step<A, B>,
  c: Step<B, C>,
  d: Step<C, D>,
  e: Step<D, E>,
  f: Step<E, F>,
  g: Step<F, G>,
  h: Step<G, H>,
  i: Step<H, I>,
): I;
/** Puts more than 8 layers on a source, the first one lowest. */
export function pipe<
  A extends Pool,
  B extends Pool,
  C extends Pool,
  D extends Pool,
  E extends Pool,
  F extends Pool,
  G extends Pool,
  H extends Pool,
  I extends Pool,
>(
  source: A,
  b: Step<A, B>,
  c: Step<B, C>,
  d: Step<C, D>,
  e: Step<D, E>,
  f: Step<E, F>,
  g: Step<F, G>,
  h: Step<G, H>,
  i: Step<H, I>,
  j: Step<I, Pool>,
  ...more: readonly Step<never, Pool>[]
): Pool;
export function pipe(source: Pool, ...layers: Step<never, Pool>[]): Pool {
  return layers.reduce((pool, layer) => {
    if (typeof layer !== "function") throw wrongKind("pipe: a layer", "a function", layer);
    return layer(pool as never);
  }, source);
}
