/** Rows 23-28 of the checklist: slices below the pages, and the way from addresses to blocks. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { assertEmpty, assertValid, queuePages, spans } from "../../support/pages.js";
import { row } from "../../support/variants.js";

/** One block for each run of at least 2 slices, all adjacent. */
function runs(s: CoreSubject, lengths: number[]): number[] {
  const blocks = lengths.map((length) => s.core.malloc(length * L.SLICE_SIZE));
  for (let i = 1; i < blocks.length; i++) {
    assert.equal(blocks[i], blocks[i - 1]! + lengths[i - 1]! * L.SLICE_SIZE, "neighbours");
  }
  return blocks;
}

function sliceOf(p: number): number {
  return p / L.SLICE_SIZE;
}

row("23: not-only page freed - its slice is given back at once", (make) => {
  const s = make();
  const blocks = Array.from({ length: 9 }, () => s.core.malloc(8192));
  const page = s.core.pageOf(blocks[0]!);
  assert.equal(s.state(L.S_PAGE_SLICES), 2);
  s.core.free(blocks[8]!);
  assert.equal(
    s.state(L.S_PAGE_SLICES),
    2,
    "the other page is full: this one is the only one in the queue",
  );
  s.core.free(blocks[0]!);
  const again = s.core.malloc(8192);
  s.core.free(again);
  assert.equal(s.state(L.S_PAGE_SLICES), 1);
  assert.deepEqual(queuePages(s, s.word(page, L.D_BIN)), [page]);
  assert.deepEqual(spans(s), [[Math.floor(again / L.SLICE_SIZE), 1]]);
  assertValid(s);
});

row("24: segment freed at once - the last page freed leaves one span", (make) => {
  const s = make();
  const blocks = [s.core.malloc(64), s.core.malloc(30000), s.core.malloc(100000)];
  assert.equal(s.state(L.S_PAGE_SLICES), 1 + L.MEDIUM_SLICES + 2);
  for (const p of blocks) s.core.free(p);
  assert.equal(s.state(L.S_PAGE_SLICES), 1 + L.MEDIUM_SLICES, "the large one at once");
  assertEmpty(s);
  assert.deepEqual(spans(s), [[sliceOf(s.base) + 1, 1 + L.MEDIUM_SLICES + 2]]);
});

row("25: coalescing - freed in any order, neighbours are one span", (make) => {
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  for (const order of orders) {
    const s = make();
    const [a, b, c] = runs(s, [2, 3, 4, 2]);
    const { growths } = s;
    for (const i of order) s.core.free([a, b, c][i]!);
    assert.deepEqual(spans(s), [[sliceOf(a!), 9]], `order ${order}`);
    assert.equal(s.core.malloc(9 * L.SLICE_SIZE), a, "a run that fits only the merged span");
    assert.equal(s.growths, growths);
    assertValid(s);
  }
});

row("25: coalescing - with the span at the top, so that growth requests the rest", (make) => {
  const s = make();
  const [, b] = runs(s, [3, 4]);
  s.core.free(b!);
  const size = s.memory.buffer.byteLength;
  assert.equal(s.core.malloc(6 * L.SLICE_SIZE), b);
  assert.equal(s.memory.buffer.byteLength, size + 2 * L.SLICE_SIZE);
});

row("25: coalescing - small pages too", (make) => {
  const s = make();
  const blocks = Array.from({ length: 64 }, () => s.core.malloc(8192));
  assert.equal(s.state(L.S_PAGE_SLICES), 8);
  for (let i = 0; i < 64; i += 2) s.core.free(blocks[i]!);
  for (let i = 63; i > 0; i -= 2) s.core.free(blocks[i]!);
  s.core.heapCollect();
  assert.deepEqual(spans(s), [[sliceOf(s.base) + 1, 8]]);
});

row("26: span best fit - of free spans of 3 and 10 slices, 3 slices take the 3", (make) => {
  for (const lengths of [
    [3, 2, 10, 2],
    [10, 2, 3, 2],
  ]) {
    const s = make();
    const blocks = runs(s, lengths);
    s.core.free(blocks[0]!);
    s.core.free(blocks[2]!);
    const [three, ten] = lengths[0] === 3 ? [blocks[0], blocks[2]] : [blocks[2], blocks[0]];
    assert.equal(s.core.malloc(3 * L.SLICE_SIZE), three);
    assert.equal(s.core.malloc(2 * L.SLICE_SIZE), ten, "the front of the rest");
    assert.deepEqual(spans(s), [[sliceOf(ten!) + 2, 8]]);
  }
});

/** Spans of 9 and 10 slices share a bin: the first that is long enough is taken. */
row("26: span best fit - a bin holds spans that are too short", (make) => {
  const s = make();
  const blocks = runs(s, [10, 2, 9, 2]);
  s.core.free(blocks[0]!);
  s.core.free(blocks[2]!);
  assert.equal(s.core.malloc(10 * L.SLICE_SIZE), blocks[0]);
  assert.equal(s.core.malloc(9 * L.SLICE_SIZE), blocks[2]);
});

row("27: interior pointer lookup - every address of a 16-slice block", (make) => {
  const s = make();
  const length = 16 * L.SLICE_SIZE;
  const p = s.core.malloc(length);
  for (let at = 0; at < length; at += at % L.SLICE_SIZE === 0 ? 1 : 4093) {
    assert.equal(s.core.contains(p + at), 1, `offset ${at}`);
    assert.equal(s.core.usableSize(p + at), length - at, `offset ${at}`);
  }
  assert.equal(s.core.usableSize(p + length - 1), 1);
  for (const outside of [p + length, p - 1, s.base, 0, 0xfffffff0]) {
    assert.equal(s.core.contains(outside), 0, `address ${outside}`);
    assert.equal(s.core.usableSize(outside), 0, `address ${outside}`);
  }
  s.core.free(p);
  assert.equal(s.core.contains(p), 0);
});

row("27: interior pointer lookup - free slices behind a block belong to no page", (make) => {
  const s = make();
  const [p, behind] = runs(s, [16, 3, 2]);
  s.core.free(behind!);
  for (const at of [0, 8, 3 * L.SLICE_SIZE - 1]) assert.equal(s.core.pageOf(behind! + at), 0);
  assert.equal(s.core.pageOf(behind! - 1), s.core.pageOf(p!));
});

row("27: interior pointer lookup - blocks of every slice of a medium page", (make) => {
  const s = make();
  const fits = Math.floor((L.MEDIUM_SLICES * L.SLICE_SIZE) / 20480);
  const blocks = Array.from({ length: fits }, () => s.core.malloc(20480));
  for (const p of blocks) {
    for (const at of [0, 1, 10239, 20479]) {
      assert.equal(s.core.usableSize(p + at), 20480 - at);
      assert.equal(s.core.pageOf(p + at), s.core.pageOf(blocks[0]!));
    }
  }
  const end = blocks.at(-1)! + 20480;
  assert.equal(s.core.contains(end), 0, "the rest behind the last block is not a block");
});

row("28: free(null), usable(null) - no effect; 0", (make) => {
  const s = make();
  const before = s.bytes().slice(s.base);
  s.core.free(0);
  assert.equal(s.core.freeChecked(0), 0);
  assert.equal(s.core.usableSize(0), 0);
  assert.equal(s.core.malloc_usable_size(0), 0);
  assert.equal(s.core.contains(0), 0);
  assert.deepEqual(s.bytes().slice(s.base), before);
  assert.deepEqual(s.errors, []);
});

row(
  "28: free of a pointer that is not a block - freeChecked refuses it and changes nothing",
  (make) => {
    const s = make();
    const small = s.core.malloc(64);
    const large = s.core.malloc(5 * L.SLICE_SIZE);
    const medium = s.core.malloc(20480);
    const before = s.bytes().slice(s.base);
    for (const p of [small, large, medium]) {
      for (const at of [1, 8, 63]) assert.equal(s.core.freeChecked(p + at), L.PTR_INTERIOR);
    }
    assert.equal(s.core.freeChecked(large + 3 * L.SLICE_SIZE), L.PTR_INTERIOR);
    for (const p of [
      s.base + 64,
      s.base + 0x8000,
      large + 5 * L.SLICE_SIZE + 0x80000,
      12,
      0xfffffff0,
    ]) {
      assert.equal(s.core.freeChecked(p), L.PTR_FOREIGN, `address ${p}`);
    }
    assert.deepEqual(s.bytes().slice(s.base), before);
    for (const p of [small, large, medium]) assert.equal(s.core.freeChecked(p), L.PTR_BLOCK);
    assertEmpty(s);
  },
);
