/** Containers whose region has ended: every access throws, and nothing of others is touched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/layers/index.js";
import { ByteString, HashMap, ScalarArray, StructArray, struct } from "#src/managed/index.js";

const { ambient, arena, createAllocator, currentRegion, enter, kingsley, outerSource, stats } = L;

function ended(call: () => unknown): void {
  assert.throws(call, (error: { code?: string }) => error.code === "ERR_REGION_ENDED");
}

/** Everything that a program can do with the memory of a container. */
const accesses = {
  ScalarArray(allocator?: L.AllocatorBase) {
    const xs = new ScalarArray("i32", allocator ?? currentRegion());
    xs.push(1, 2, 3);
    return [
      () => xs.at(0),
      () => xs.at(-1),
      () => xs.set(0, 9),
      () => xs.push(4),
      () => xs.push(...Array(100).fill(5)),
      () => xs.reserve(1000),
      () => [...xs],
      () => xs.free(),
      () => xs.pop(),
    ];
  },
  StructArray(allocator?: L.AllocatorBase) {
    const points = new StructArray(struct({ x: "f64", y: "u8" }), allocator ?? currentRegion());
    points.push({ x: 1, y: 2 });
    return [
      () => points.get(0),
      () => points.set(0, { x: 2 }),
      () => [...points],
      () => points.push({ x: 3, y: 4 }),
      () => points.free(),
    ];
  },
  ByteString(allocator?: L.AllocatorBase) {
    const text = new ByteString("hello", allocator ?? currentRegion());
    return [
      () => text.toString(),
      () => `${text}`,
      () => text.bytes,
      () => text.at(0),
      () => text.equals("hello"),
      () => text.append("x"),
      () => text.append("x".repeat(1000)),
      () => new ByteString("outside").append(text),
      () => text.free(),
    ];
  },
  "HashMap of numbers"(allocator?: L.AllocatorBase) {
    const map = new HashMap("number", allocator ?? currentRegion());
    map.set(1, 2);
    return [
      () => map.get(1),
      () => map.get(7),
      () => map.has(1),
      () => map.set(1, 3),
      () => map.set(2, 3),
      () => map.delete(1),
      () => [...map],
      () => map.free(),
    ];
  },
  "HashMap of texts"(allocator?: L.AllocatorBase) {
    const map = new HashMap("text", allocator ?? currentRegion());
    map.set("a", 2);
    return [
      () => map.get("a"),
      () => map.set("a", 3),
      () => map.set("b", 3),
      () => map.delete("a"),
      () => [...map],
      () => map.free(),
    ];
  },
  "view of allocArray"() {
    const view = currentRegion().allocArray(Float64Array, 3);
    return [
      () => view.array,
      () => view.at(0),
      () => view.set([1]),
      () => [...view],
      () => view.free(),
    ];
  },
  "view of allocString"() {
    const view = currentRegion().allocString("text");
    return [() => view.array, () => view.at(0)];
  },
};

const layers: Record<string, L.RegionLayer> = {
  arena,
  kingsley,
  stats: (source) => L.pipe(source, stats()),
};

for (const [name, make] of Object.entries(accesses)) {
  for (const [layer, how] of Object.entries(layers)) {
    test(`${name} in a region of ${layer}: every access after its end throws`, () => {
      const calls = enter(how, () => make());
      const victims = Array.from({ length: 200 }, () => currentRegion().allocString("victim"));
      for (const call of calls) ended(call);
      for (const victim of victims) {
        assert.equal(currentRegion().readString(victim.ptr, 6), "victim");
        victim.free();
      }
    });
  }
}

for (const name of ["ScalarArray", "StructArray", "ByteString", "HashMap of numbers"] as const) {
  test(`${name} on the ambient allocator belongs to the region that it was filled in`, () => {
    for (const call of enter(arena, () => accesses[name](ambient))) ended(call);
  });

  test(`${name} on layers of a region ends with that region`, () => {
    const calls = enter(arena, () => accesses[name](createAllocator(kingsley(outerSource()))));
    for (const call of calls.slice(0, 3)) ended(call);
  });
}

test("an empty container can be kept, and used again outside", () => {
  const xs = enter(arena, () => new ScalarArray("i32", ambient));
  xs.push(1);
  assert.deepEqual([...xs], [1]);
  xs.free();
  const ys = enter(arena, () => {
    const inner = new ScalarArray("i32", ambient);
    inner.push(1);
    inner.free();
    return inner;
  });
  ys.push(2);
  assert.deepEqual([...ys], [2]);
  ys.free();
});

test("a map on the ambient allocator grows and frees in the region of its table", () => {
  const map = new HashMap("text", ambient);
  map.set("outside", 0);
  enter(arena, () => {
    for (let i = 0; i < 100; i++) map.set(`key ${i}`, i);
  });
  for (let i = 0; i < 100; i++) assert.equal(map.get(`key ${i}`), i);
  map.free();
});

test("while the resources of a region end, its containers can still be read", () => {
  const seen: number[] = [];
  enter(arena, (region) => {
    const xs = new ScalarArray("i32");
    xs.push(7);
    region.defer(() => seen.push(xs.at(0) as number));
  });
  assert.deepEqual(seen, [7]);
});
