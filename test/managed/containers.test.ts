/** Arrays, byte strings and maps: compared with models, in the region they were made in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { arena, currentRegion, enter, kingsley, limit, setGroundHeap } from "#src/layers/index.js";
import { ByteString, HashMap, ScalarArray, StructArray, struct } from "#src/managed/index.js";
import { Random, seedOf } from "../support/random.js";

const heap = createHeap();
setGroundHeap(heap);

test("an array of numbers grows, and returns what was stored", () => {
  for (const type of ["i8", "u8", "i16", "u16", "i32", "u32", "f32", "f64"] as const) {
    using xs = new ScalarArray(type);
    for (let i = 0; i < 100; i++) xs.push(i, i + 1);
    assert.deepEqual([xs.length, xs.at(0), xs.at(-1), xs.at(200)], [200, 0, 100, undefined]);
    assert.deepEqual([...xs].slice(0, 4), [0, 1, 1, 2]);
    xs.set(3, 7);
    assert.equal(xs.at(3), 7);
    assert.equal(xs.pop(), 100);
    xs.clear();
    assert.equal(xs.pop(), undefined);
  }
  assert.equal(heap.stats().blocks, 0);
});

test("containers grow in the region that they were made in", () => {
  const xs = new ScalarArray("f64");
  const [text, map] = [new ByteString("a"), new HashMap("text")];
  enter(arena, () => {
    for (let i = 0; i < 1000; i++) {
      xs.push(i);
      text.append("b");
      map.set(`key ${i}`, i);
    }
  });
  enter(kingsley, (region) => {
    const ptr = region.malloc(1e6); // overwrites what the ended arena had
    region.u8.fill(0xff, ptr, ptr + 1e6);
  });
  assert.deepEqual([xs.at(999), text.length, map.get("key 999")], [999, 1001, 999]);
  for (const one of [xs, text, map]) one.free();
  assert.equal(heap.stats().blocks, 0);
});

test("the end of a region frees its containers", () => {
  enter(arena, () => {
    new ScalarArray("u8").push(1, 2, 3);
    new HashMap("text").set("a", 1);
  });
  assert.equal(heap.stats().blocks, 0);
});

test("structs have the layout of C, and keep their fields", () => {
  const layout = struct({ flag: "u8", id: "u32", x: "f64", short: "i16" });
  assert.deepEqual(layout.fields, [
    ["flag", "u8", 0],
    ["id", "u32", 4],
    ["x", "f64", 8],
    ["short", "i16", 16],
  ]);
  assert.equal(layout.size, 24);
  using points = new StructArray(layout);
  for (let i = 0; i < 50; i++) points.push({ flag: i & 1, id: i, x: i / 3, short: -i });
  points.set(7, { x: 0.5 });
  assert.deepEqual(points.get(7), { flag: 1, id: 7, x: 0.5, short: -7 });
  assert.equal(currentRegion().f64[(points.ptr(49) + 8) / 8], 49 / 3);
  assert.equal([...points].length, 50);
  assert.equal(points.pop()?.id, 49);
  assert.throws(() => points.get(49), {
    name: "RangeError",
    message: "index must be a whole number below 49, not 49",
  });
});

test("a byte string appends text, bytes, another string and itself", () => {
  using text = new ByteString("grü").append("ße").append(new Uint8Array([33]));
  assert.deepEqual([text.toString(), text.length, text.at(-1)], ["grüße!", 8, 33]);
  text.append(text).append(text.bytes);
  assert.equal(text.toString(), "grüße!".repeat(4));
  using other = new ByteString("grüße!".repeat(4));
  assert.ok(text.equals(other) && text.equals(other.toString()) && !text.equals("grüße!"));
  other.clear();
  assert.equal(other.toString(), "");
  assert.throws(() => text.append(1 as never), {
    name: "TypeError",
    message: "append: needs text or bytes",
  });
});

for (const keys of ["number", "text"] as const) {
  test(`a map of ${keys} keys behaves as Map does, over random operations`, (t) => {
    const seed = seedOf(31);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const model = new Map<number | string, number>();
    const map = new HashMap<"number" | "text">(keys);
    const key = () => (keys === "number" ? random.below(800) / 4 : `kéy ${random.below(800)}`);
    for (let i = 0; i < 20000; i++) {
      const k = key();
      if (random.chance(i % 4000 < 2000 ? 65 : 35)) {
        map.set(k, i);
        model.set(k, i);
      } else assert.equal(map.delete(k), model.delete(k));
      assert.equal(map.size, model.size);
      const other = key();
      assert.equal(map.get(other), model.get(other));
      assert.equal(map.has(other), model.has(other));
    }
    const sorted = (all: Iterable<[number | string, number]>) =>
      [...all].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
    assert.deepEqual(sorted(map), sorted(model));
    map.free();
    assert.deepEqual([map.size, map.get(key()), heap.stats().blocks], [0, undefined, 0]);
  });
}

test("a map compares numbers as Map does", () => {
  using map = new HashMap("number");
  map
    .set(Number.NaN, 1)
    .set(0, 2)
    .set(-0, 3)
    .set(0.5, 4)
    .set(-1, 5)
    .set(2 ** 53, 2 ** 53);
  const keys = [Number.NaN, 0, -0, 0.5, -1, 2 ** 53, 1];
  assert.deepEqual(
    keys.map((key) => map.get(key)),
    [1, 3, 3, 4, 5, 2 ** 53, undefined],
  );
  assert.equal(map.size, 5);
});

test("a container is as it was when memory is out", () => {
  enter(limit(600), () => {
    const xs = new ScalarArray("f64");
    const map = new HashMap("text");
    const fill = (add: (i: number) => void) => {
      for (let i = 0; ; i++) add(i);
    };
    const out = { name: "HeapError", code: "ERR_OUT_OF_MEMORY" };
    assert.throws(() => fill((i) => xs.push(i)), out);
    assert.deepEqual([...xs], [...Array(xs.length).keys()]);
    assert.ok(xs.length >= 16);
    xs.free();
    assert.throws(() => fill((i) => map.set(`${i}`, i)), out);
    assert.equal([...map].length, map.size);
    assert.ok([...map].every(([key, value]) => key === `${value}`));
  });
});

test("wrong types and indexes throw", () => {
  const refusals: [() => unknown, string][] = [
    [() => new ScalarArray("u7" as never), "TypeError: unknown scalar type: u7"],
    [() => struct({}), "RangeError: struct: needs at least one field"],
    [
      () => new HashMap("any" as never),
      'TypeError: HashMap: keys must be "number" or "text", not any',
    ],
    [() => new HashMap("text").get(1 as never), "TypeError: HashMap: key must be a string"],
    [() => new HashMap("number").set("1" as never, 1), "TypeError: HashMap: key must be a number"],
    [
      () => new ScalarArray("u8").set("0" as never, 1),
      "TypeError: index must be a number, not string",
    ],
  ];
  for (const [call, text] of refusals) assert.throws(call, (error) => String(error) === text);
});
