/** Which region is current, how regions begin, and the ground region around all of them. */
import { createHeap } from "../../heap/create.ts";
import type { Memory, Pool } from "../pool/contract.ts";
import { groundInUse, notALayer, poolInUse, regionMemoriesDiffer } from "../pool/errors.ts";
import { type HeapLike, type Std, std, stdOver } from "../sources/std.ts";
import { contextCreate } from "./context.ts";
import { groundBeside } from "./ground-beside.ts";
import type { RegionOptions } from "./options.ts";
import { Region } from "./region.ts";
import { RegionMemory } from "./region-memory.ts";

/**
 * How a region allocates: a layer or recipe, whose source is the region around, or a pool in the
 * same memory, which serves one region at a time.
 */
export type RegionLayer = ((outer: Std) => Pool) | Pool;

const { store, crossesAwait } = contextCreate<Region>();
const poolsInUse = new WeakSet<Pool>();
let ground: Region | undefined;

/**
 * Whether regions stay current across `await` on this platform. Where they do not, `enter` with an
 * async function still frees everything when its promise settles, but `currentRegion()` returns the
 * region only up to the first await: code after it uses the region that the function is given.
 */
export const regionsCrossAwait: boolean = crossesAwait;

/**
 * The region that everything outside of other regions is allocated in. It has a heap of its own,
 * which is made at the first use. There is one for each thread, and it never ends.
 */
export function getGroundRegion(): Region {
  ground ??= new Region(() => std(createHeap()), undefined, {});
  return ground;
}

/**
 * Puts the ground region, and so all regions, on a heap of the caller's.
 *
 * @throws TypeError once the memory of the ground region is in use.
 * @example
 * setGroundHeap(createHeap({ memory: instance.exports.memory, offset: 2 ** 24 }));
 */
export function setGroundHeap(heap: HeapLike): void {
  if (ground?.isBound) throw groundInUse();
  getGroundRegion().bindTo(() => std(heap));
}

/**
 * The innermost region that has not ended: the allocator to use now. Costs some nanoseconds: call
 * it once and keep the result for a piece of work.
 *
 * @example
 * const ptr = currentRegion().malloc(100);
 */
export function currentRegion(): Region {
  let region = store.getStore();
  while (region?.ended) region = region.outer;
  return region ?? getGroundRegion();
}

/** The current region as a source for compositions. */
export function outerSource(): Std {
  return sourceOf(currentRegion());
}

/** The ground region as a source, for compositions that bypass the regions between. */
export function groundSource(): Std {
  return sourceOf(getGroundRegion());
}

/** All regions lie in one memory, which each shows until it ends. */
function sourceOf(region: Region): Std {
  return stdOver(region, region.regionMemory);
}

/**
 * Makes a region that is not current by itself: for lifetimes that are not those of a scope, and
 * for platforms without async context. `runIn` makes it current for a call.
 *
 * @throws TypeError for a value that is not a layer or a pool, for a pool that serves another
 * region, and for one in another memory.
 * @example
 * const level = openRegion(arena, { label: "level" });
 * level.malloc(100);
 * level.destroy();
 */
export function openRegion(layer: RegionLayer, options: RegionOptions = {}): Region {
  if (layer === undefined || layer === null) throw notALayer();
  const outer = currentRegion();
  if (typeof layer === "function") {
    const pool = layer(sourceOf(outer));
    checkPool(pool);
    return new Region(pool, outer, options);
  }
  checkPool(layer);
  if (poolsInUse.has(layer)) throw poolInUse(layer.name);
  const region = new Region(layer, outer, options, () => poolsInUse.delete(layer));
  poolsInUse.add(layer);
  return region;
}

/** While nothing lies in the ground region, it moves to the memory of the first pool. */
function checkPool(pool: Pool): void {
  if (!pool?.traits) throw notALayer();
  if (pool.memory instanceof RegionMemory) return;
  const outermost = getGroundRegion();
  if (!outermost.isBound) {
    const make = groundBeside(pool);
    if (make) outermost.bindTo(make);
  }
  const memory: Memory = outermost.pool.memory;
  if (pool.memory === memory || pool.memory.bytes().buffer === memory.bytes().buffer) return;
  throw regionMemoriesDiffer();
}

/** Calls fn with `region` as the current one, and returns what fn returns; does not end it. */
export function runIn<R>(region: Region, fn: () => R): R {
  return store.run(region, fn);
}

/**
 * Begins a region and makes it current until it ends, for `using`. In an async function whose
 * caller goes on before it has ended, the caller sees the region too: pass a function there.
 *
 * @param layer how the region allocates.
 * @throws TypeError for a value that is not a layer or a pool, for a pool that serves another
 * region, and for one in another memory.
 * @example
 * using region = enter(arena);
 * region.malloc(100);
 */
export function enter(layer: RegionLayer, options?: RegionOptions): Region;
/**
 * Calls fn with a new region as the current one, returns what fn returns, and ends the region when
 * fn returns, throws, or its promise settles.
 *
 * @param layer how the region allocates.
 * @throws What fn throws; LayerError ERR_LEAK, ERR_REGION_OPEN or ERR_ASYNC_RESOURCE from the end
 * of the region; TypeError for a value that is not a layer or a pool, for a pool that serves
 * another region, and for one in another memory.
 * @example
 * const sum = enter(arena, () => {
 *   const xs = currentRegion().allocArray(Float64Array, 1000);
 *   return xs.array.reduce((a, b) => a + b);
 * });
 */
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
 * Calls fn with the region around the current one as the current one, and returns what it returns:
 * what fn allocates outlives the current region. In the ground region it only calls fn.
 *
 * @example
 * const kept = enter(arena, () => escape(() => currentRegion().allocString("still here")));
 */
export function escape<R>(fn: () => R): R {
  return store.run(currentRegion().outer ?? getGroundRegion(), fn);
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
