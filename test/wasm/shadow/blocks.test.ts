/** The checked heap against a model: no overlap, right shadows, right counters. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Blocks } from "#src/wasm/shadow/blocks.js";
import { type Layout, layoutMake, OPEN } from "#src/wasm/shadow/layout.js";
import { Random, seedOf } from "../../support/random.js";

const LIMITS = { min: 1, max: undefined, shared: false, is64: false };

function heapCreate(quarantine: number): {
  blocks: Blocks;
  open: (at: number) => boolean;
  layout: Layout;
} {
  const layout = layoutMake(LIMITS, 2 ** 22);
  const memory = new WebAssembly.Memory({ initial: layout.pages, maximum: layout.pages });
  const shadow = new Uint8Array(memory.buffer, layout.shadowStart);
  const open = (at: number) => {
    const value = shadow[at >>> 3] as number;
    return value <= OPEN && (at & 7) < value;
  };
  return { blocks: new Blocks(memory, layout, quarantine), open, layout };
}

test("random allocation: exactly the bytes of live blocks are open", () => {
  const random = new Random(seedOf(8));
  const { blocks, open, layout } = heapCreate(20_000);
  const live = new Map<number, number>();
  const freed = new Map<number, number>();
  for (let step = 0; step < 4000; step++) {
    if (live.size > 0 && random.chance(48)) {
      const ptr = [...live.keys()][random.below(live.size)] as number;
      const id = blocks.find(ptr);
      assert.equal(blocks.size(id), live.get(ptr));
      blocks.free(id, 1, 2);
      assert.equal(blocks.isLive(blocks.find(ptr)), false);
      freed.set(ptr, live.get(ptr) as number);
      live.delete(ptr);
      continue;
    }
    const align = random.chance(20) ? 2 ** random.between(0, 10) : 0;
    const size = random.skewed(1, 3000) - 1;
    const ptr = blocks.alloc(size, align, 0, 0);
    if (ptr === 0) continue;
    assert.equal(ptr % Math.max(16, align), 0);
    for (const [other, length] of live) {
      assert.ok(ptr >= other + length + 32 || other >= ptr + size + 32, "red zones between blocks");
    }
    live.set(ptr, size);
    freed.delete(ptr);
  }
  let opened = 0;
  for (let at = layout.heapStart; at < layout.shadowStart; at++) if (open(at)) opened++;
  assert.equal(
    opened,
    [...live.values()].reduce((sum, size) => sum + size, 0),
    `seed ${random.seed}`,
  );
  for (const [ptr, size] of live) {
    for (let i = 0; i < size; i++) assert.ok(open(ptr + i));
    assert.deepEqual(blocks.near(ptr + size)?.side, "behind");
    assert.deepEqual([blocks.near(ptr - 1)?.side, blocks.near(ptr - 1)?.distance], ["before", 1]);
    if (size > 0) assert.equal(blocks.near(ptr + size - 1)?.block.ptr, ptr);
  }
  assert.deepEqual(
    blocks.liveBlocks().map((each) => each.ptr),
    [...live.keys()].sort((a, b) => a - b),
  );
});

test("when the heap is full, freed blocks are used before it returns 0", () => {
  const { blocks } = heapCreate(2 ** 30);
  const size = 2 ** 19;
  const first = Array.from({ length: 6 }, () => blocks.alloc(size, 0, 0, 0));
  assert.ok(first.every((ptr) => ptr !== 0));
  while (blocks.alloc(size, 0, 0, 0) !== 0);
  blocks.free(blocks.find(first[0] as number), 0, 0);
  assert.equal(blocks.alloc(size, 0, 0, 0), first[0]);
  assert.equal(blocks.alloc(size, 0, 0, 0), 0);
  assert.equal(blocks.alloc(2 ** 31, 0, 0, 0), 0);
});

test("zeroed blocks are zero, also in memory that was used before", () => {
  const { blocks } = heapCreate(0);
  const ptr = blocks.alloc(1000, 0, 0, 0);
  blocks.copy(0, ptr, 10);
  blocks.free(blocks.find(ptr), 0, 0);
  const again = blocks.allocZero(1000, 0, 0, 0);
  assert.equal(again, ptr);
});

test("free pieces are joined: a block that grows in small steps can take nearly all", () => {
  const { blocks, layout } = heapCreate(2 ** 20);
  let ptr = blocks.alloc(16, 0, 0, 0);
  let size = 16;
  for (; ; size += 512) {
    const next = blocks.alloc(size + 512, 0, 0, 0);
    if (next === 0) break;
    blocks.free(blocks.find(ptr), 0, 0);
    ptr = next;
  }
  // Two blocks are live for a moment, and what is freed has to leave space between them.
  const all = layout.shadowStart - layout.heapStart;
  assert.ok(size > all / 4, `${size} of ${all}`);
  assert.equal(blocks.refused, size + 512);
  blocks.free(blocks.find(ptr), 0, 0);
  assert.notEqual(blocks.alloc(all - 8192, 0, 0, 0), 0, "all of the heap is one piece again");
});

test("random allocation in a full heap: blocks keep their records while pieces are joined", () => {
  const random = new Random(seedOf(9));
  const { blocks, open } = heapCreate(100_000);
  const live = new Map<number, number>();
  let failed = 0;
  for (let step = 0; step < 20_000; step++) {
    const full = live.size > 0 && random.chance(failed > 0 ? 70 : 40);
    if (full) {
      const [ptr, size] = [...live][random.below(live.size)] as [number, number];
      const id = blocks.find(ptr);
      assert.deepEqual([blocks.isLive(id), blocks.size(id)], [true, size], `step ${step}`);
      assert.ok(size === 0 || (open(ptr) && open(ptr + size - 1) && !open(ptr + size)));
      blocks.free(id, 0, 0);
      live.delete(ptr);
      failed = Math.max(0, failed - 1);
      continue;
    }
    const size = random.skewed(1, 300_000) - 1;
    const ptr = blocks.alloc(size, random.chance(10) ? 256 : 0, 0, 0);
    if (ptr === 0) failed = 20;
    else live.set(ptr, size);
  }
  assert.ok(blocks.refused !== undefined, "the heap was full");
  assert.equal(blocks.liveBlocks().length, live.size);
});
