/** Reference counting: what lives, what is freed, what cycles keep. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { arena, currentRegion, enter, setGroundHeap } from "#src/layers/index.js";
import { Counting, kind } from "#src/managed/index.js";
import { Random, seedOf } from "../support/random.js";

const heap = createHeap();
setGroundHeap(heap);

const pair = kind("pair", { pointers: [0, 4] });

function link(ptr: number, field: number, target: number): void {
  currentRegion().u32[ptr / 4 + field] = target;
}

test("the last release finalizes and frees a block, and releases what it holds", () => {
  const order: number[] = [];
  const noted = kind("noted", { pointers: [0], finalize: (ptr) => order.push(ptr) });
  const counting = new Counting();
  const tail = counting.alloc(16, noted);
  const head = counting.alloc(16, noted);
  link(head, 0, tail);
  assert.equal(counting.retain(head), head);
  counting.release(head);
  assert.deepEqual([counting.count(head), counting.live], [1, 2]);
  counting.release(head);
  assert.deepEqual(order, [head, tail]);
  assert.deepEqual([counting.live, heap.stats().blocks], [0, 0]);
  counting.release(0);
});

test("a block lives as long as one reference to it", () => {
  const counting = new Counting();
  const shared = counting.alloc(8);
  const holders = [0, 1].map(() => {
    const holder = counting.alloc(8, pair);
    link(holder, 1, counting.retain(shared));
    return holder;
  });
  counting.release(shared);
  counting.release(holders[0]!);
  assert.equal(counting.count(shared), 1);
  counting.release(holders[1]!);
  assert.equal(counting.live, 0);
});

test("a chain of 200 000 blocks is released without recursion", () => {
  enter(arena, () => {
    const counting = new Counting();
    let head = 0;
    for (let i = 0; i < 200000; i++) {
      const block = counting.alloc(8, pair);
      link(block, 0, head);
      head = block;
    }
    counting.release(head);
    assert.equal(counting.live, 0);
  });
});

test("a weak reference is 0 once its block is freed", () => {
  const counting = new Counting();
  const ptr = counting.alloc(8);
  const weak = counting.weak(ptr);
  assert.deepEqual([weak.ptr, counting.weak(ptr) === weak, counting.count(ptr)], [ptr, true, 1]);
  counting.retain(weak.ptr);
  counting.release(ptr);
  assert.equal(weak.ptr, ptr);
  counting.release(ptr);
  assert.equal(weak.ptr, 0);
});

test("cycles lists the blocks that hold each other, and no others", () => {
  enter(arena, () => {
    const counting = new Counting();
    const [a, b, c, own, outside, leaf] = Array.from({ length: 6 }, () => counting.alloc(8, pair));
    link(a!, 0, counting.retain(b!));
    link(b!, 0, counting.retain(c!));
    link(c!, 0, counting.retain(a!));
    link(c!, 1, counting.retain(leaf!)); // held by the cycle, not a part of it
    link(own!, 0, counting.retain(own!));
    link(outside!, 0, counting.retain(outside!)); // a cycle with a reference from outside
    assert.deepEqual(counting.cycles(), []);
    for (const ptr of [a, b, c, own, leaf]) counting.release(ptr!);
    assert.equal(counting.live, 6);
    const cycles = counting.cycles().map((group) => group.map(({ ptr }) => ptr).sort());
    assert.deepEqual(
      cycles.sort((x, y) => y.length - x.length),
      [[a, b, c].sort(), [own]],
    );
    assert.deepEqual(
      counting.cycles().find((group) => group.length === 1),
      [{ ptr: own, size: 8, kind: "pair" }],
    );
    link(a!, 0, 0);
    counting.release(b!);
    assert.deepEqual([counting.live, counting.cycles().length], [2, 1], "a broken cycle is freed");
  });
  assert.equal(heap.stats().blocks, 0);
});

test("counts are those of a model, over random graphs without cycles", (t) => {
  const seed = seedOf(51);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const counting = new Counting();
  const mine: number[] = [];
  for (let i = 0; i < 5000; i++) {
    if (mine.length > 0 && random.chance(45)) {
      counting.release(mine.splice(random.below(mine.length), 1)[0]!);
      continue;
    }
    const ptr = counting.alloc(8, pair); // points to older blocks only
    for (const field of [0, 1]) {
      const target = mine[random.below(mine.length)];
      if (target && random.chance(50)) link(ptr, field, counting.retain(target));
    }
    mine.push(ptr);
  }
  assert.deepEqual(counting.cycles(), []);
  for (const ptr of mine) assert.ok(counting.count(ptr) >= 1);
  for (const ptr of mine) counting.release(ptr);
  assert.deepEqual([counting.live, heap.stats().blocks], [0, 0]);
});

test("wrong pointers throw", () => {
  const counting = new Counting();
  const ptr = counting.alloc(8);
  counting.release(ptr);
  const message = `release: 0x${ptr.toString(16)} is not a live block of this manager`;
  const expected = { name: "ManagedError", code: "ERR_NOT_MANAGED", ptr, message };
  assert.throws(() => counting.release(ptr), expected);
  assert.throws(() => counting.retain(1), { code: "ERR_NOT_MANAGED" });
  assert.throws(() => counting.weak(16), { code: "ERR_NOT_MANAGED" });
  assert.throws(() => kind("odd", { pointers: [2] }), {
    name: "RangeError",
    message: "pointers: offsets must be multiples of 4, not 2",
  });
});
