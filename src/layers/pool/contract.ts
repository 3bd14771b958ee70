/**
 * What a layer is. A pool gives blocks by `get` and takes them by `put`; a layer makes a pool of
 * the pool below it. What a pool promises stands in its traits, as values and as types, so that a
 * layer over a pool that lacks what the layer needs does not compile.
 */
import type { PoolStats } from "./counter.ts";
import { alignmentMissing, callMissing, sourceMissing } from "./errors.ts";

/** Bytes: every block of a pool begins at a multiple of its alignment. */
export type Alignment =
  | 16
  | 32
  | 64
  | 128
  | 256
  | 512
  | 1024
  | 2048
  | 4096
  | 8192
  | 16384
  | 32768
  | 65536;

/** What a pool promises and asks. */
export interface Traits {
  readonly alignment: Alignment;
  /** put needs the size that get was given. Where false, `sizeOf` tells it. */
  readonly sized: boolean;
  /** destroy gives everything back to the source, also blocks that were never put. */
  readonly drops: boolean;
  /** `owns` tells blocks of this pool from those of others. */
  readonly owns: boolean;
  /** Blocks come filled with zeros. */
  readonly zeroed: boolean;
}

/** The memory that addresses lie in. Views die when it grows: ask again, keep none. */
export interface Memory {
  bytes(): Uint8Array;
  u32(): Uint32Array;
}

/** What the author of a layer writes. */
export interface Calls {
  /** Address of a block of at least `size` bytes; 0 when there is none, which is no error. */
  get(size: number): number;
  /** Takes a block back; `size` is what get was given, unless the pool is not sized. */
  put(ptr: number, size: number): void;
  /**
   * Gives what the layer holds back to its source, then ends the source, as its last act: that
   * may throw what a check found. Afterwards the layer is as new.
   */
  destroy(): void;
  /** Bytes that the block at ptr holds. */
  sizeOf?(ptr: number): number;
  /** Whether the block at ptr came from this pool. */
  owns?(ptr: number): boolean;
  stats?(): PoolStats;
}

/** Blocks of one memory, with the traits T. */
export interface Pool<T = Traits> extends Disposable {
  /** For people: `chunk(65536)`. */
  readonly name: string;
  readonly traits: T;
  readonly memory: Memory;
  /** The pools that this one stands on. */
  readonly below: readonly Pool[];
  /** Address of a block of at least `size` bytes, or 0. Sizes are not checked. */
  get(size: number): number;
  /** Takes a block back. `size` is what get was given; pools that are not `sized` ignore it. */
  put(ptr: number, size: number): void;
  /** Gives what the pool holds back to where it came from, down to the ground. */
  destroy(): void;
  /** @throws TypeError when the pool is `sized`. */
  sizeOf(ptr: number): number;
  /** @throws TypeError when the pool's trait `owns` is false. */
  owns(ptr: number): boolean;
  /** Undefined for pools that do not count. */
  readonly stats: (() => PoolStats) | undefined;
}

/** T, with what G says instead. */
export type Over<T extends Traits, G extends Partial<Traits>> = {
  readonly [K in keyof Traits]: K extends keyof G ? G[K] : T[K];
};

/** A layer: over a pool that has what it needs, a pool of which G says what differs. */
export type Layer<G extends Partial<Traits>, Need extends Traits = Traits> = <T extends Need>(
  source: Pool<T>,
) => Pool<Over<T, G>>;

/** The verbs that go with a promise. */
type Promised<G> = (G extends { readonly sized: false }
  ? { sizeOf(ptr: number): number }
  : unknown) &
  (G extends { readonly owns: true } ? { owns(ptr: number): boolean } : unknown);

/**
 * Makes the pool of a layer. Traits that `gives` does not name are the source's, and so are the
 * verbs that go with them.
 *
 * @throws TypeError when the source is no pool, or a promised verb is missing.
 * @example
 * const bypass = () => (source) =>
 *   defineLayer("bypass", source, {}, {
 *     get: (size) => source.get(size),
 *     put: (ptr, size) => source.put(ptr, size),
 *     destroy: () => source.destroy(),
 *   });
 */
export function defineLayer<T extends Traits, const G extends Partial<Traits>>(
  name: string,
  source: Pool<T>,
  gives: G,
  verbs: Calls & Promised<G>,
): Pool<Over<T, G>> {
  if (!source?.traits) throw sourceMissing(name);
  const traits = traitsOver(source.traits, gives);
  const own = verbs as Calls;
  const sizeOf = own.sizeOf ?? (gives.sized === false ? undefined : source.sizeOf);
  const owns = own.owns ?? (gives.owns === true ? undefined : source.owns);
  return poolMake(name, traits, source.memory, [source], own, sizeOf, owns) as Pool<Over<T, G>>;
}

/** By name and not by spreading: regions make their pools anew, and that took most of the time. */
function traitsOver(below: Traits, gives: Partial<Traits>): Traits {
  return {
    alignment: gives.alignment ?? below.alignment,
    sized: gives.sized ?? below.sized,
    drops: gives.drops ?? below.drops,
    owns: gives.owns ?? below.owns,
    zeroed: gives.zeroed ?? below.zeroed,
  };
}

/** Makes a pool from its parts; for sources, and for layers that stand on several pools. */
export function definePool<T extends Traits>(
  name: string,
  traits: T,
  memory: Memory,
  below: readonly Pool[],
  verbs: Calls,
): Pool<T> {
  return poolMake(name, traits, memory, below, verbs, verbs.sizeOf, verbs.owns) as Pool<T>;
}

function poolMake(
  name: string,
  traits: Traits,
  memory: Memory,
  below: readonly Pool[],
  { get, put, destroy, stats }: Calls,
  ownSizeOf: Calls["sizeOf"],
  ownOwns: Calls["owns"],
): Pool {
  const sizeOf = callOf(name, "sizeOf", traits.sized === false, ownSizeOf);
  const owns = callOf(name, "owns", traits.owns === true, ownOwns);
  // One order of members for all pools: calls of other pools stay monomorphic in the engine.
  return {
    name,
    traits,
    memory,
    below,
    get,
    put,
    destroy,
    sizeOf,
    owns,
    stats,
    [Symbol.dispose]: destroy,
  };
}

function callOf<R>(
  name: string,
  verb: string,
  promised: boolean,
  own: ((ptr: number) => R) | undefined,
): (ptr: number) => R {
  if (promised && own) return own;
  if (promised) throw callMissing(name, verb);
  return () => {
    throw callMissing(name, verb);
  };
}

/** The need of a layer, also for those who compose without types. */
export function requireAlignment(name: string, source: Pool, alignment: Alignment): void {
  if (source.traits.alignment < alignment) {
    throw alignmentMissing(name, alignment, source.name, source.traits.alignment);
  }
}

/** Bytes rounded up to the granule of 16, at least one. */
export function roundToGranules(size: number): number {
  if (size <= 16) return 16;
  return size < 2 ** 30 ? (size + 15) & ~15 : Math.ceil(size / 16) * 16;
}
