/** Rows 108-110 of the checklist: knowledge of zeros, growth, and high addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import { backEnds, coreOver, coreSubject } from "../../support/core.js";
import { assertEmpty, assertValid } from "../../support/pages.js";
import { row } from "../../support/variants.js";

const POISON = 0xab;

/** The heap cannot know of the poison: a block that still contains it was not written. */
row("108: zero knowledge - zalloc does not write blocks of fresh memory", (make) => {
  const s = make();
  for (const size of [16, 64, 1000, 1025, 8192]) {
    const first = s.core.malloc(size);
    const usable = s.core.usableSize(first);
    s.bytes().fill(POISON, first + usable, first + 4 * usable);
    for (let i = 1; i < 4; i++) {
      const p = s.core.zalloc(size);
      assert.equal(p, first + i * usable);
      const block = s.bytes().subarray(p, p + usable);
      assert.ok(
        block.every((byte) => byte === POISON),
        `zalloc(${size}) wrote`,
      );
    }
  }
});

row("108: zero knowledge - nor large blocks and pages over fresh slices", (make) => {
  const s = make();
  s.core.free(s.core.malloc(64));
  for (const size of [65536, 100000, 10 * L.SLICE_SIZE]) {
    const end = s.memory.buffer.byteLength;
    s.memory.grow(20);
    s.bytes().fill(POISON, end);
    const p = s.core.zalloc(size);
    // The poisoned slices are not the heap's: it has grown behind them, where everything is zero.
    assert.ok(p >= end + 20 * L.SLICE_SIZE);
    assert.equal(s.bytes()[end], POISON);
    assert.ok(
      s
        .bytes()
        .subarray(p, p + size)
        .every((byte) => byte === 0),
    );
  }
  assertValid(s);
});

row("108: zero knowledge - blocks that were used before are cleared", (make) => {
  const s = make();
  for (const size of [8, 64, 1000, 5000, 30000, 65536, 70000, 300000]) {
    const before = Array.from({ length: 12 }, () => s.core.malloc(size));
    for (const p of before) s.bytes().fill(0xff, p, p + s.core.usableSize(p));
    for (const p of before) s.core.free(p);
    for (let i = 0; i < 1200; i++) {
      const p = s.core.zalloc(size);
      if (!before.includes(p)) continue;
      const block = s.bytes().subarray(p, p + s.core.usableSize(p));
      assert.ok(
        block.every((byte) => byte === 0),
        `zalloc(${size})`,
      );
      before.splice(before.indexOf(p), 1);
      if (before.length === 0) break;
    }
    assert.ok(before.length < 12, `no block of ${size} B was used again`);
    s.core.heapCollect();
  }
});

row("108: zero knowledge - a page over slices that were used is not known to be zero", (make) => {
  const s = make();
  const large = s.core.malloc(8 * L.SLICE_SIZE);
  s.bytes().fill(0xff, large, large + 8 * L.SLICE_SIZE);
  s.core.free(large);
  const p = s.core.zalloc(64);
  assert.ok(p > large && p < large + L.SLICE_SIZE, "in the slices of the large block");
  assert.equal(s.word(s.core.pageOf(p), L.D_ZERO), 0xffffffff);
  for (let i = 0; i < 200; i++) {
    const q = s.core.zalloc(64);
    assert.ok(
      s
        .bytes()
        .subarray(q, q + 64)
        .every((byte) => byte === 0),
    );
  }
});

for (const backEnd of backEnds) {
  test(`${backEnd}: row 108: zero knowledge - a memory that was used is not trusted`, () => {
    const memory = new WebAssembly.Memory({ initial: 20, maximum: 100 });
    new Uint8Array(memory.buffer).fill(0xff);
    const s = coreOver(backEnd, memory, 2 * L.SLICE_SIZE, false);
    assertValid(s);
    for (const size of [64, 5000, 30000, 65536, 150000]) {
      const p = s.core.zalloc(size);
      const block = s.bytes().subarray(p, p + s.core.usableSize(p));
      assert.ok(
        block.every((byte) => byte === 0),
        `zalloc(${size})`,
      );
    }
    const below = s.bytes().subarray(0, 2 * L.SLICE_SIZE);
    assert.ok(
      below.every((byte) => byte === 0xff),
      "below the base nothing is touched",
    );
    assertValid(s);
  });

  test(`${backEnd}: row 110: pointers above 2 GiB - up to the last slice but one`, () => {
    const base = 0xfff80000;
    const s = coreSubject(backEnd, 8, base);
    const blocks = [];
    for (let p = s.core.malloc(100000); p !== 0; p = s.core.malloc(100000)) blocks.push(p);
    assert.deepEqual(blocks, [base + 65536, base + 3 * 65536, base + 5 * 65536]);
    assert.equal(s.core.usableSize(blocks[2]!), 131072);
    assertValid(s);
    for (const p of blocks) s.core.free(p);
    assertEmpty(s);
  });

  test(`${backEnd}: row 110: pointers above 2 GiB - a memory that has all of 4 GiB`, () => {
    const memory = new WebAssembly.Memory({ initial: 65536, maximum: 65536 });
    const s = coreOver(backEnd, memory, 0xfff80000, true);
    assert.equal(s.state(L.S_FREE_SLICES), 6, "the last slice stays unused");
    assert.equal(s.core.malloc(100000), 0xfff90000);
    assertValid(s);
  });

  test(`${backEnd}: row 110: pointers above 2 GiB - other code took all but the last slice`, () => {
    const s = coreSubject(backEnd, 8, 0xfff80000);
    s.memory.grow(6);
    assert.equal(s.core.malloc(64), 0);
    assert.equal(s.core.malloc(100000), 0);
    assertValid(s);
  });
}

row("109: memory growth views - old pointers readable after every growth", (make) => {
  const s = make();
  const blocks: number[] = [];
  for (let i = 0; i < 200; i++) {
    const p = s.core.malloc(50000);
    s.words()[p / 4] = i;
    s.words()[p / 4 + 10000] = ~i >>> 0;
    blocks.push(p);
  }
  assert.ok(s.growths > 10, `${s.growths} growths`);
  blocks.forEach((p, i) => {
    assert.equal(s.word(p), i);
    assert.equal(s.word(p, 40000), ~i >>> 0);
  });
  assertValid(s);
});

row("109: memory growth views - growth by other code does not detach the core's views", (make) => {
  const s = make();
  const p = s.core.malloc(100);
  s.words()[p / 4] = 0x12345678;
  s.memory.grow(3);
  assert.equal(s.word(p), 0x12345678);
  // No growth of the heap between: the core must notice that its view is detached.
  const q = s.core.malloc(100);
  assert.equal(q, p + 112);
  s.core.free(p);
  const r = s.core.realloc(q, 5000);
  assert.equal(s.core.contains(r), 1);
  assertValid(s);
});
