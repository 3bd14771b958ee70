/** Which region is current: enter, escape, and the ground below all. */
import { createHeap } from "../../heap/create.ts";
import { AllocatorBase } from "../pool/allocator-base.ts";
import type { Memory, Pool, Traits } from "../pool/contract.ts";
import { groundSettled, layerMissing, memoriesDiffer, poolServes } from "../pool/errors.ts";
import { type HeapLike, type Std, std } from "../sources/std.ts";
import { contextCreate } from "./context.ts";
import { Region, type RegionOptions } from "./region.ts";

/**
 * How a region allocates: a layer or recipe, which gets its memory from the region around, or a
 * pool in the same memory that serves one region at a time.
 */
export type RegionLayer = ((outer: Std) => Pool) | Pool<Traits>;

const { store, crossesAwait } = contextCreate<Region>();
const serving = new WeakSet<Pool>();
let bottomRegion: Region | undefined;

/**
 * Whether regions stay current across `await` here. Where they do not, `enter` with an async
 * function waits for it and frees what is left, but only what runs before the first await finds the
 * region by `currentRegion()`: the rest uses the region that the function is given.
 */
export const regionsCrossAwait: boolean = crossesAwait;

/**
 * The region that everything outside of regions is allocated in, over a heap of its own that is
 * made at the first use. There is one for each thread; it never ends.
 */
export function getGroundRegion(): Region {
  bottomRegion ??= new Region(std(createHeap()), undefined, {});
  return bottomRegion;
}

/**
 * Lets the ground region, and so all regions, live on a heap of the caller's.
 *
 * @throws TypeError after the first use of the ground region.
 * @example
 * setGroundHeap(createHeap({ memory: instance.exports.memory, offset: 2 ** 24 }));
 */
export function setGroundHeap(heap: HeapLike): void {
  if (bottomRegion) throw groundSettled();
  bottomRegion = new Region(std(heap), undefined, {});
}

/** The allocator of the innermost region that has not ended. Cheap, but not free: keep it. */
export function currentRegion(): Region {
  let region = store.getStore();
  while (region?.ended) region = region.outer;
  return region ?? getGroundRegion();
}

/** The current region, whenever it is asked: for code that keeps one allocator for good. */
class Ambient extends AllocatorBase {
  protected get backingMemory(): Memory {
    return getGroundRegion().pool.memory;
  }

  malloc(size: number): number {
    return currentRegion().malloc(size);
  }

  calloc(count: number, size: number): number {
    return currentRegion().calloc(count, size);
  }

  memalign(alignment: number, size: number): number {
    return currentRegion().memalign(alignment, size);
  }

  /** Resizes a block, in the region that it belongs to. */
  realloc(ptr: number, size: number): number {
    return currentRegion().realloc(ptr, size);
  }

  free(ptr: number): void {
    currentRegion().free(ptr);
  }

  usableSize(ptr: number): number {
    return currentRegion().usableSize(ptr);
  }
}

export type { Ambient };

/**
 * An allocator that asks for the current region at each call. Not for the composition of a region:
 * that would ask itself.
 *
 * @example
 * const text = ambient.allocString("in the current region");
 */
export const ambient: Ambient = new Ambient();

/**
 * Makes a region that is never current by itself: an explicit handle, for lives that no scope has
 * and for platforms without async context. `runIn` makes it current for a call.
 *
 * @example
 * const level = openRegion(arena, { label: "level" });
 * level.malloc(100);
 * level.end();
 */
export function openRegion(layer: RegionLayer, options: RegionOptions = {}): Region {
  const outer = currentRegion();
  if (typeof layer === "function") {
    return regionOver(checkPool(layer(std(outer))), outer, options);
  }
  checkPool(layer);
  if (serving.has(layer)) throw poolServes(layer.name);
  const region = regionOver(layer, outer, options, () => serving.delete(layer));
  serving.add(layer);
  return region;
}

/** Calls fn with `region` as the current one; the region does not end with it. */
export function runIn<R>(region: Region, fn: () => R): R {
  return store.run(region, fn);
}

/**
 * Without fn: makes a region current until it ends, for `using`. In an async function that others
 * do not wait for at once, its callers see the region too: use fn there.
 *
 * With fn: calls it with a new region as the current one, answers what it answers, and ends the
 * region when it returns, throws, or its promise settles.
 *
 * @throws TypeError for something that is no layer, or a pool of another memory or in use.
 * @example
 * const sum = enter(arena, () => {
 *   const xs = currentRegion().allocArray(Float64Array, 1000);
 *   return xs.array.reduce((a, b) => a + b);
 * });
 */
export function enter(layer: RegionLayer, options?: RegionOptions): Region;
export function enter<R>(layer: RegionLayer, fn: (region: Region) => R, options?: RegionOptions): R;
export function enter<R>(
  layer: RegionLayer,
  fn?: ((region: Region) => R) | RegionOptions,
  options?: RegionOptions,
): R | Region {
  if (typeof fn !== "function") return enterHere(layer, fn);
  const region = openRegion(layer, options);
  let result: R;
  try {
    result = store.run(region, () => fn(region));
  } catch (error) {
    return region.destroyAfter(error);
  }
  if (isPromise(result)) return endWhenSettled(region, result) as R;
  region.destroy();
  return result;
}

/**
 * Calls fn with the region around the current one as the current one: what it allocates outlives
 * the current region. On the ground it changes nothing.
 *
 * @example
 * const kept = enter(arena, () => escape(() => currentRegion().allocString("still here")));
 */
export function escape<R>(fn: () => R): R {
  return store.run(currentRegion().outer ?? getGroundRegion(), fn);
}

/** The region around the current one as a source for compositions: "pipe" of the region library. */
export function outerSource(): Std {
  return std(currentRegion());
}

/** The ground region as a source for compositions that are to bypass the regions between. */
export function groundSource(): Std {
  return std(getGroundRegion());
}

function enterHere(layer: RegionLayer, options: RegionOptions | undefined): Region {
  const before = store.getStore();
  const region = openRegion(layer, options);
  region.defer(() => {
    if (store.getStore() === region) store.enterWith(before ?? getGroundRegion());
  });
  store.enterWith(region);
  return region;
}

function regionOver(
  pool: Pool,
  outside: Region,
  options: RegionOptions,
  onEnd?: () => void,
): Region {
  const here = getGroundRegion().u8.buffer;
  if (pool.memory.bytes().buffer !== here) throw memoriesDiffer("enter: the regions of a thread");
  return new Region(pool, outside, options, onEnd);
}

function checkPool(pool: Pool): Pool {
  if (!pool?.traits) throw layerMissing();
  return pool;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

async function endWhenSettled<R>(region: Region, promise: PromiseLike<R>): Promise<R> {
  let value: R;
  try {
    value = await promise;
  } catch (error) {
    return region.destroyAfterAsync(error);
  }
  await region.destroyAsync();
  return value;
}
