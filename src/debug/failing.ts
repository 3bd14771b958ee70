/** Allocators that run out of memory when a test wants them to. */
import { outOfMemory } from "../errors.ts";
import { checkWhole } from "../layers/errors.ts";
import type { AllocatorLike } from "./backing.ts";
import { randomOf } from "./sample.ts";

/** What a request answers when it is refused, by the name of the function. */
const refusals: Record<string, () => number> = {
  malloc: () => 0,
  calloc: () => 0,
  zalloc: () => 0,
  mallocn: () => 0,
  realloc: () => 0,
  reallocn: () => 0,
  reallocSized: () => 0,
  rezalloc: () => 0,
  recalloc: () => 0,
  reallocAligned: () => 0,
  memalign: () => 0,
  memalignAt: () => 0,
  alignedAlloc: () => 0,
  newNothrow: () => 0,
  allocArray: () => refuse("allocArray"),
  allocString: () => refuse("allocString"),
  new: () => refuse("new"),
  // C's names, in abi
  reallocarray: () => 0,
  aligned_alloc: () => 0,
  posix_memalign: () => 12,
  strdup: () => 0,
  strndup: () => 0,
};

function refuse(call: string): never {
  throw outOfMemory(`${call} (refused by a test)`, 0);
}

type Call = (...args: unknown[]) => unknown;

/**
 * The same allocator, but requests for which `refused` answers true find no memory: they answer 0,
 * or throw ERR_OUT_OF_MEMORY where the function does so. `abi` too.
 *
 * @example
 * const heap = failing(createHeap(), () => isBadDay);
 */
export function failing<A extends object>(allocator: A, refused: () => boolean): A {
  const made = new Map<PropertyKey, unknown>();
  return new Proxy(allocator, {
    get(target, name) {
      // Not the proxy as receiver: private fields are the target's own.
      const value: unknown = Reflect.get(target, name, target);
      if (name === "abi") return cached(made, name, () => failing(value as object, refused));
      if (typeof value !== "function" || name === "constructor") return value;
      return cached(made, name, () => wrap(value.bind(target) as Call, name, refused));
    },
  });
}

function cached(made: Map<PropertyKey, unknown>, name: PropertyKey, make: () => unknown): unknown {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
}

function wrap(call: Call, name: PropertyKey, refused: () => boolean): Call {
  const refusal = typeof name === "string" && Object.hasOwn(refusals, name) && refusals[name];
  if (!refusal) return call;
  return (...args) => (refused() ? refusal() : call(...args));
}

/**
 * The first `n` requests are served, all later ones find no memory.
 *
 * @throws RangeError unless n is a whole number.
 * @example
 * const heap = failAfter(createHeap(), 1);
 * heap.malloc(10); // a block
 * heap.malloc(10); // 0
 */
export function failAfter<A extends AllocatorLike>(allocator: A, n: number): A {
  checkWhole("failAfter: n", n, 0);
  let requests = 0;
  return failing(allocator, () => ++requests > n);
}

/**
 * Each request finds no memory with the same chance, in the same places for the same seed.
 *
 * @throws RangeError unless chance is from 0 to 1 and seed a 32-bit number.
 * @example
 * const heap = failRandomly(createHeap(), 0.1, 42);
 */
export function failRandomly<A extends AllocatorLike>(
  allocator: A,
  chance: number,
  seed: number,
): A {
  if (!(chance >= 0 && chance <= 1)) {
    throw new RangeError(`failRandomly: chance must be from 0 to 1, not ${chance}`);
  }
  checkWhole("failRandomly: seed", seed, 0, 0xffffffff);
  const random = randomOf(seed);
  return failing(allocator, () => random() < chance);
}
