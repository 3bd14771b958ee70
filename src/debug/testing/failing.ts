/** Allocators that run out of memory when a test wants them to. */
import { ENOMEM } from "../../common/errno.ts";
import { outOfMemory } from "../../common/errors.ts";
import { checkWhole } from "../../layers/pool/errors.ts";
import type { AllocatorLike } from "../store/backing.ts";
import { randomOf } from "../store/sample.ts";

/** What a request answers when it is refused, by the name of the function. */
const refusals = new Map<string, (target: Freeing, args: unknown[]) => unknown>();

interface Freeing {
  free(ptr: number): void;
}

for (const name of [
  ...["malloc", "calloc", "zalloc", "mallocn", "memalign", "memalignAt", "alignedAlloc"],
  ...["mallocAligned", "mallocAlignedAt", "zallocAligned", "zallocAlignedAt", "callocAligned"],
  ...["callocAlignedAt", "valloc", "pvalloc", "realloc", "reallocSized", "reallocn"],
  ...["reallocarray", "rezalloc", "recalloc", "reallocAligned", "reallocAlignedAt", "expand"],
  ...["rezallocAligned", "rezallocAlignedAt", "recallocAligned", "recallocAlignedAt", "strdup"],
  ...["strndup", "mbsdup", "wcsdup", "realpath", "newNothrow", "newAlignedNothrow", "heapNew"],
]) {
  refusals.set(name, () => 0);
}
for (const name of [
  ...["allocArray", "allocString", "new", "newN", "newAligned", "newRealloc", "newReallocn"],
  "newHeap",
]) {
  refusals.set(name, () => refuse(name));
}
for (const name of ["posixMemalign", "reallocarr", "dupenvS", "wdupenvS"])
  refusals.set(name, () => ENOMEM);
refusals.set("reallocf", (target, [ptr]) => {
  target.free(ptr as number);
  return 0;
});

/** The typed door's name of one of C's functions: mi_heap_malloc_aligned is mallocAligned. */
function typedName(name: string): string {
  if (name.startsWith("_Zn")) return name.includes("nothrow") ? "newNothrow" : "new";
  const bare = name
    .replace(/^mi_/, "")
    .replace(/^heap_(?!new)/, "")
    .replace(/_small$/, "");
  if (bare === "_expand") return "expand";
  if (bare.startsWith("alloc_new")) return bare.endsWith("_n") ? "newN" : "new";
  if (bare.startsWith("aligned_") && bare.endsWith("recalloc")) return "recallocAligned";
  return bare.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

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
      return cached(made, name, () => wrap(value.bind(target) as Call, name, target, refused));
    },
  });
}

function cached(made: Map<PropertyKey, unknown>, name: PropertyKey, make: () => unknown): unknown {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
}

function wrap(call: Call, name: PropertyKey, target: object, refused: () => boolean): Call {
  const refusal = typeof name === "string" ? refusals.get(typedName(name)) : undefined;
  if (!refusal) return call;
  return (...args) => (refused() ? refusal(target as Freeing, args) : call(...args));
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
