/**
 * Compositions that cannot work do not compile: each `@ts-expect-error` fails the build of the
 * tests when its line compiles. Errors at run time are tested as well, where there are any.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  aligned,
  buddy,
  bypass,
  check,
  chunk,
  defineLayer,
  fallback,
  freelist,
  ground,
  header,
  hybrid,
  type Layer,
  limit,
  type Over,
  type Pool,
  pipe,
  slices,
  stats,
  std,
  type Traits,
  zeroing,
  zone,
} from "#src/layers/index.js";
import { wasmMemory } from "#src/memory/index.js";

/** Compiles when A and B are the same type. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

function holds<T extends true>(value?: T): void {
  assert.equal(value, undefined);
}

/** Needs a pool that can free everything at once. */
function scopeOf(pool: Pool<Traits & { readonly drops: true }>): string {
  return pool.name;
}

/** Needs a pool that knows the sizes of blocks. */
function unsized(pool: Pool<Traits & { readonly sized: false }>): string {
  return pool.name;
}

test("each layer changes the traits that it names", () => {
  const heap = createHeap();
  const carved = pipe(std(heap), chunk(4096));
  holds<Same<(typeof carved)["traits"]["drops"], true>>();
  holds<Same<(typeof carved)["traits"]["sized"], true>>();
  const counted = pipe(std(heap), chunk(4096), freelist(64), stats(), header());
  holds<Same<(typeof counted)["traits"]["sized"], false>>();
  holds<Same<(typeof counted)["traits"]["drops"], true>>();
  holds<Same<(typeof counted)["traits"]["alignment"], 16>>();
  assert.deepEqual(counted.traits, {
    alignment: 16,
    sized: false,
    drops: true,
    owns: false,
    zeroed: false,
  });
});

test("traits of eight layers, of nested calls and of forks", () => {
  const base = std(createHeap());
  const zeros = zeroing()(bypass()(base));
  holds<Same<(typeof zeros)["traits"]["zeroed"], true>>();
  const eight = pipe(
    base,
    bypass(),
    stats(),
    check(),
    limit(1e6),
    freelist(32),
    zeroing(),
    header(),
    aligned(256),
  );
  holds<Same<(typeof eight)["traits"]["alignment"], 256>>();
  holds<Same<(typeof eight)["traits"]["owns"], false>>();
  const two = hybrid(64, pipe(base, ground(), chunk()), base);
  holds<Same<(typeof two)["traits"]["drops"], false>>();
  assert.equal(two.traits.drops, false);
  assert.equal(eight.get(10) % 256, 0);
});

test("buddy needs a source aligned to its arena", () => {
  const base = std(createHeap());
  assert.ok(pipe(slices(wasmMemory()), buddy()).get(100) > 0);
  assert.ok(pipe(base, aligned(65536), buddy()).get(100) > 0);
  const message = "buddy needs a source aligned to 65536 bytes; std is aligned to 16";
  // @ts-expect-error std is aligned to 16
  assert.throws(() => buddy()(base), { name: "TypeError", message });
  // @ts-expect-error std is aligned to 16
  assert.throws(() => pipe(base, buddy()), { name: "TypeError", message });
  // @ts-expect-error chunk is aligned to 16, whatever its source is aligned to
  assert.throws(() => pipe(slices(wasmMemory()), chunk(), buddy()), /chunk\(65536\) is aligned/);
});

test("a fallback needs a first pool that knows its blocks", () => {
  const base = std(createHeap());
  assert.ok(fallback(pipe(base, limit(100), check()), base).get(1000) > 0);
  const message = "fallback: limit(100) has no owns";
  // @ts-expect-error limit over std does not know its blocks
  assert.throws(() => fallback(pipe(base, limit(100)), base), { name: "TypeError", message });
});

test("a scope needs a pool that drops, an unsized free one that knows sizes", () => {
  const base = std(createHeap());
  assert.equal(scopeOf(pipe(base, zone())), "zone(16384)");
  // @ts-expect-error blocks that were not put would stay in the heap
  assert.equal(scopeOf(base), "std");
  // @ts-expect-error ground leaves blocks with its source
  assert.equal(scopeOf(pipe(base, zone(), ground())), "ground");
  assert.equal(unsized(base), "std");
  // @ts-expect-error stats counts the size that put is given
  assert.equal(unsized(pipe(base, stats())), "stats");
  assert.throws(() => pipe(base, stats(), bypass()).owns(1), {
    name: "TypeError",
    message: "bypass has no owns",
  });
});

test("a layer must have the calls that its traits require", () => {
  const base = std(createHeap());
  const calls = {
    get: (size: number) => base.get(size),
    put: (ptr: number, size: number) => base.put(ptr, size),
    destroy: () => {},
  };
  const sizeless = () => {
    // @ts-expect-error sized: false requires sizeOf
    defineLayer("mine", base, { sized: false }, calls);
  };
  assert.throws(sizeless, { name: "TypeError", message: "mine has no sizeOf" });
  const make = () => {
    // @ts-expect-error owns: true requires owns
    defineLayer("mine", base, { owns: true }, calls);
  };
  assert.throws(make, { name: "TypeError", message: "mine has no owns" });
});

test("a layer of the user's composes with those of the package", () => {
  const twice = (): Layer<{ readonly sized: true }> => (source) =>
    defineLayer(
      "twice",
      source,
      { sized: true },
      {
        get: (size) => source.get(2 * size),
        put: (ptr, size) => source.put(ptr, 2 * size),
        destroy: () => source.destroy(),
      },
    );
  const pool = pipe(std(createHeap()), chunk(), twice(), stats());
  holds<Same<(typeof pool)["traits"]["drops"], true>>();
  holds<Same<Over<Traits, { readonly owns: true }>["owns"], true>>();
  const ptr = pool.get(100);
  assert.equal(pool.get(1) - ptr, 208);
  // @ts-expect-error a layer is not a source
  assert.throws(() => pipe(chunk(), stats()), {
    name: "TypeError",
    message: "stats: the source must be a pool",
  });
});
