/** Allocators that are out of memory when a test wants it. */

import { ENOMEM, WASI_ENOMEM } from "../../common/errno.ts";
import { outOfMemory, wrongKind } from "../../common/errors.ts";
import { checkMembers } from "../../common/kinds.ts";
import { createAbi } from "../../heap/create-abi.ts";
import type { Heap } from "../../heap/heap.ts";
import { checkWhole } from "../../layers/pool/errors.ts";
import type { AllocatorLike } from "../store/allocator-like.ts";
import { randomOf } from "../store/sample.ts";

type Refusal = (target: Freeing, args: unknown[]) => unknown;

/** What a refused request returns, or throws, by the name of the method. */
const refusals = new Map<string, Refusal>();

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
/** Methods that return an errno, and C's functions under the names of these. */
const errnoNames = new Set(["posixMemalign", "reallocarr", "dupenvS", "wdupenvS"]);
refusals.set("reallocf", (target, [ptr]) => {
  target.free(ptr as number);
  return 0;
});

/** The method for one of C's functions: mallocAligned for mi_heap_malloc_aligned. */
function methodName(name: string): string {
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
 * Returns the same allocator, but requests for which `refused` returns true find no memory: they
 * return 0, or throw where the method does that when memory is out. Functions of `abi` as well.
 *
 * @param refused Called at each request.
 * @example
 * let full = false;
 * const heap = failing(createHeap(), () => full);
 */
export function failing<A extends object>(allocator: A, refused: () => boolean): A {
  checkMembers("allocator", "an allocator with malloc and free", allocator);
  return failingWith(allocator, refused, ENOMEM);
}

/** @param enomem What calls return that return an errno: C programs have WASI's numbers. */
function failingWith<A extends object>(allocator: A, refused: () => boolean, enomem: number): A {
  const made = new Map<PropertyKey, unknown>();
  return new Proxy(allocator, {
    get(target, name) {
      // The target as receiver, because the proxy has no private fields.
      const value: unknown = Reflect.get(target, name, target);
      if (name === "abi")
        return cached(made, name, () => failingWith(abiOf(target), refused, WASI_ENOMEM));
      if (typeof value !== "function" || name === "constructor") return value;
      const refusal = refusalOf(name, enomem);
      const call = value.bind(target) as Call;
      return cached(made, name, () => (refusal ? wrap(call, refusal, target, refused) : call));
    },
  });
}

function abiOf(allocator: object): object {
  return createAbi(allocator as Heap);
}

function cached(made: Map<PropertyKey, unknown>, name: PropertyKey, make: () => unknown): unknown {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
}

/** What a refused request returns; undefined for a call that is not a request. */
function refusalOf(name: PropertyKey, enomem: number): Refusal | undefined {
  if (typeof name !== "string") return undefined;
  const method = methodName(name);
  return errnoNames.has(method) ? () => enomem : refusals.get(method);
}

function wrap(call: Call, refusal: Refusal, target: object, refused: () => boolean): Call {
  return (...args) => (refused() ? refusal(target as Freeing, args) : call(...args));
}

/**
 * Returns the same allocator, but only the first `n` requests find memory.
 *
 * @throws RangeError unless n is a whole number from 0 to 2147483647.
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
 * Returns the same allocator, but each request finds no memory with the given chance. The same seed
 * refuses the same requests.
 *
 * @param chance From 0 (none) to 1 (all).
 * @param seed From 0 to 2^32 - 1.
 * @throws RangeError for other values.
 * @example
 * const heap = failRandomly(createHeap(), 0.1, 42);
 */
export function failRandomly<A extends AllocatorLike>(
  allocator: A,
  chance: number,
  seed: number,
): A {
  if (typeof chance !== "number") throw wrongKind("failRandomly: chance", "a number", chance);
  if (!(chance >= 0 && chance <= 1)) {
    throw new RangeError(`failRandomly: chance must be from 0 to 1, not ${chance}`);
  }
  checkWhole("failRandomly: seed", seed, 0, 0xffffffff);
  const random = randomOf(seed);
  return failing(allocator, () => random() < chance);
}
