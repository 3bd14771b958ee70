/**
 * What a layer is. A pool gives blocks by `get` and takes them back by `put`; a layer makes a pool
 * from the pool below it. A pool states its guarantees as traits, both as values and as types, so
 * that a layer over a pool that lacks what the layer needs does not compile.
 */

import { wrongKind } from "../../common/errors.ts";
import { checkMembers, checkObject } from "../../common/kinds.ts";
import type { PoolStats } from "./counter.ts";
import { alignmentTooSmall, callMissing, requirePool } from "./errors.ts";

/** Bytes, a power of two: every block of a pool begins at a multiple of its alignment. */
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

/** What a pool guarantees and what it needs from its users. */
export interface Traits {
  /** Every block begins at a multiple of so many bytes. */
  readonly alignment: Alignment;
  /** True: `put` needs the size that `get` was given. False: `sizeOf` tells it. */
  readonly sized: boolean;
  /** `destroy` gives all memory back to the source, including blocks that were never put. */
  readonly drops: boolean;
  /** `owns` tells the blocks of this pool from those of other pools. */
  readonly owns: boolean;
  /** The bytes of a block are zero when `get` returns it. */
  readonly zeroed: boolean;
}

/** Traits with these values: `True` lists the traits that are true, all others are false. */
export type TraitsWith<A extends Alignment, True extends Exclude<keyof Traits, "alignment">> = {
  readonly [K in keyof Traits]: K extends "alignment" ? A : K extends True ? true : false;
};

/** What a pool needs of an allocator; createHeap's Heap, Region and Allocator have it. */
export interface HeapLike {
  /** A block of at least `size` bytes, aligned to 16 from 16 bytes on; 0 = out of memory. */
  malloc(size: number): number;
  /** Frees a block. */
  free(ptr: number): void;
  /** Bytes that the block at ptr can hold. */
  usableSize(ptr: number): number;
  /** All bytes of the memory as it is now. */
  readonly u8: Uint8Array;
  /** All of the memory as it is now, as words of 32 bits. */
  readonly u32: Uint32Array;
}

/**
 * The memory that the addresses of a pool are offsets in. Its views become invalid when the memory
 * grows: call again after anything that may allocate, and keep no view.
 */
export interface Memory {
  /** All bytes of the memory as it is now. */
  bytes(): Uint8Array;
  /** All bytes as words of 32 bits; the word at an address is at index `address / 4`. */
  u32(): Uint32Array;
}

/** The calls that the author of a layer or a source implements. */
export interface Calls {
  /**
   * Address of a block of at least `size` bytes; 0 = out of memory, which is not an error. `size`
   * may be 0. Callers do not check sizes.
   */
  get(size: number): number;
  /** Takes a block back; `size` is what `get` was given, unless the pool is not sized. */
  put(ptr: number, size: number): void;
  /**
   * Gives everything that the layer holds back to its source and brings the layer into its initial
   * state. Destroys the source as its last act, because that may throw what a check has found.
   */
  destroy(): void;
  /** Bytes that the block at ptr can hold. Needed where the trait `sized` is false. */
  sizeOf?(ptr: number): number;
  /** Whether the block at ptr came from this pool. Needed where the trait `owns` is true. */
  owns?(ptr: number): boolean;
  /** Statistics as they are now, for layers that count. */
  stats?(): PoolStats;
}

/**
 * Blocks of one memory, with the traits `T`. Every pool is a source for more layers. A pool is for
 * the thread that made it, unless the layer says otherwise.
 */
export interface Pool<T = Traits> extends Disposable {
  /** Name and main option, for people: `chunk(65536)`. */
  readonly name: string;
  /** What this pool guarantees. */
  readonly traits: T;
  /** The memory that the addresses of blocks are offsets in. */
  readonly memory: Memory;
  /** The pools that this one gets its memory from; empty for a source. */
  readonly below: readonly Pool[];
  /**
   * Address of a block of at least `size` bytes, aligned to `traits.alignment`; 0 = out of memory.
   * `size` is a whole number from 0 on, which is not checked.
   */
  get(size: number): number;
  /**
   * Takes a block back. `size` is what `get` was given; pools that are not `sized` ignore it.
   * Whether ptr is a block is checked by some layers only, `check` for example.
   */
  put(ptr: number, size: number): void;
  /**
   * Gives everything that the layers hold back, from this pool down to its source or to a
   * `ground()`. Afterwards the pool is in its initial state and can be used again.
   *
   * @throws LayerError what a layer has found, after everything has been given back.
   */
  destroy(): void;
  /**
   * Bytes that the block at ptr can hold.
   *
   * @throws TypeError when the trait `sized` is true.
   */
  sizeOf(ptr: number): number;
  /**
   * Whether the block at ptr came from this pool.
   *
   * @throws TypeError when the trait `owns` is false.
   */
  owns(ptr: number): boolean;
  /** Returns the statistics of this pool; undefined for pools that do not count. */
  readonly stats: (() => PoolStats) | undefined;
}

/** The traits `T`, with those that `G` names replaced. */
export type Over<T extends Traits, G extends Partial<Traits>> = {
  readonly [K in keyof Traits]: K extends keyof G ? G[K] : T[K];
};

/**
 * A layer: makes a pool from a source. `G` has the traits that differ from the source's, `Need`
 * those that the source must have.
 */
export type Layer<G extends Partial<Traits>, Need extends Traits = Traits> = <T extends Need>(
  source: Pool<T>,
) => Pool<Over<T, G>>;

/** The calls that traits require. */
type RequiredCalls<G> = (G extends { readonly sized: false }
  ? { sizeOf(ptr: number): number }
  : unknown) &
  (G extends { readonly owns: true } ? { owns(ptr: number): boolean } : unknown);

/**
 * Makes the pool of a layer. Traits that `gives` does not name are those of the source, and so are
 * `sizeOf` and `owns` where `calls` does not have them.
 *
 * @param name for people, in `formatTree` and in errors.
 * @param source the pool below.
 * @param gives the traits that differ from the source's.
 * @param calls what the layer does.
 * @throws TypeError when the source is not a pool, or a call that a trait requires is missing.
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
  calls: Calls & RequiredCalls<G>,
): Pool<Over<T, G>> {
  checkName("defineLayer", name);
  requirePool(name, source);
  checkObject(`${name}: gives`, gives);
  checkMembers(`${name}: calls`, "an object with get and put", calls, "get", "put");
  const traits = traitsOver(source.traits, gives);
  const own = calls as Calls;
  const sizeOf = own.sizeOf ?? (gives.sized === false ? undefined : source.sizeOf);
  const owns = own.owns ?? (gives.owns === true ? undefined : source.owns);
  return poolMake(name, traits, source.memory, [source], own, sizeOf, owns) as Pool<Over<T, G>>;
}

/**
 * Written out, not spread: every region makes its pools anew, and spreading took most of that time.
 */
function traitsOver(below: Traits, gives: Partial<Traits>): Traits {
  return {
    alignment: gives.alignment ?? below.alignment,
    sized: gives.sized ?? below.sized,
    drops: gives.drops ?? below.drops,
    owns: gives.owns ?? below.owns,
    zeroed: gives.zeroed ?? below.zeroed,
  };
}

/**
 * Makes a pool from its parts: for sources, and for layers over several pools.
 *
 * @param name for people, in `formatTree` and in errors.
 * @param traits all traits of the pool.
 * @param memory the memory that the addresses of its blocks are offsets in.
 * @param below the pools that it gets memory from.
 * @param calls what the pool does.
 * @throws TypeError when a call that a trait requires is missing.
 * @example
 * const none = definePool("none", traits, memory, [], {
 *   get: () => 0,
 *   put: () => {},
 *   destroy: () => {},
 * });
 */
export function definePool<T extends Traits>(
  name: string,
  traits: T,
  memory: Memory,
  below: readonly Pool[],
  calls: Calls,
): Pool<T> {
  checkName("definePool", name);
  checkObject(`${name}: traits`, traits);
  checkMembers(`${name}: calls`, "an object with get and put", calls, "get", "put");
  return poolMake(name, traits, memory, below, calls, calls.sizeOf, calls.owns) as Pool<T>;
}

function checkName(call: string, name: unknown): void {
  if (typeof name !== "string") throw wrongKind(`${call}: name`, "a string", name);
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
  // All pools have their members in one order: calls of other pools stay monomorphic in the engine.
  return {
    __proto__: poolText,
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
  } as unknown as Pool;
}

/** What a template or console.log shows of a pool: its layers from the highest one down. */
const poolText = {
  toString(this: Pool): string {
    return textOf(this);
  },
  [Symbol.for("nodejs.util.inspect.custom")](this: Pool): string {
    return `Pool <${textOf(this)}>`;
  },
};

function textOf({ name, below, stats }: Pool): string {
  const counts = stats?.();
  const own = counts ? `${name} (${counts.bytes} bytes in use)` : name;
  if (below.length === 0) return own;
  const texts = below.map(textOf);
  return `${own} over ${texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`}`;
}

function callOf<R>(
  name: string,
  call: string,
  required: boolean,
  own: ((ptr: number) => R) | undefined,
): (ptr: number) => R {
  if (required && own) return own;
  if (required) throw callMissing(name, call);
  return () => {
    throw callMissing(name, call);
  };
}

/** Checks what a layer needs of its source, for callers that compose without types. */
export function requireAlignment(name: string, source: Pool, alignment: Alignment): void {
  requirePool(name, source);
  if (source.traits.alignment < alignment) {
    throw alignmentTooSmall(name, alignment, source.name, source.traits.alignment);
  }
}

/**
 * Bytes rounded up to a multiple of 16, and at least 16: the sizes that most layers give.
 *
 * @example
 * roundToGranules(0); // 16
 * roundToGranules(17); // 32
 */
export function roundToGranules(size: number): number {
  if (typeof size !== "number") throw wrongKind("size", "a number", size);
  if (size <= 16) return 16;
  return size < 2 ** 30 ? (size + 15) & ~15 : Math.ceil(size / 16) * 16;
}
