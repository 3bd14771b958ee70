/**
 * Rows 12-19 of the checklist: how pages are filled, extended, reused and moved to the full queue.
 */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import {
  assertEmpty,
  assertValid,
  fullPages,
  isFull,
  queuePages,
  usedOf,
} from "../../support/pages.js";
import { rowInBoth as row } from "../../support/variants.js";

function mallocMany(s: CoreSubject, count: number, size: number): number[] {
  return Array.from({ length: count }, () => s.core.malloc(size));
}

function capacityOf(s: CoreSubject, p: number): number {
  return s.core.pageCapacity(s.core.pageOf(p));
}

function reservedOf(s: CoreSubject, p: number): number {
  const page = s.core.pageOf(p);
  return (s.word(page, L.D_END) - s.word(page, L.D_START)) / s.word(page, L.D_BLOCK);
}

row("12: first block offset - 192 for 64 B, 512 for 512 B, 0 for 1024 B", (make) => {
  const { core } = make();
  assert.equal(core.malloc(64) % L.SLICE_SIZE, 192);
  assert.equal(core.malloc(8) % L.SLICE_SIZE, 24);
  assert.equal(core.malloc(512) % L.SLICE_SIZE, 512);
  assert.equal(core.malloc(640) % L.SLICE_SIZE, 0);
  assert.equal(core.malloc(1024) % L.SLICE_SIZE, 0);
});

row("13: sequential fill - consecutive malloc(64) of a fresh page differ by 64", (make) => {
  const s = make();
  const blocks = mallocMany(s, 1021, 64);
  for (const [i, p] of blocks.entries()) assert.equal(p, blocks[0]! + 64 * i);
  assert.notEqual(s.core.pageOf(s.core.malloc(64)), s.core.pageOf(blocks[0]!));
});

row("14: extend amount - after one malloc(64) capacity is 64, 8192 B: 4, 48 B: 85", (make) => {
  const s = make();
  const blocks = mallocMany(s, 64, 64);
  assert.equal(capacityOf(s, blocks[0]!), 64);
  s.core.malloc(64);
  assert.equal(capacityOf(s, blocks[0]!), 128);
  assert.equal(capacityOf(s, s.core.malloc(8192)), 4);
  assert.equal(capacityOf(s, s.core.malloc(48)), 85);
});

row("14: extend amount - the last extension stops at the end of the page", (make) => {
  const s = make();
  for (const [size, reserved] of [
    [64, 1021],
    [48, 1362],
    [1280, 51],
    [6144, 10],
  ]) {
    const blocks = mallocMany(s, reserved!, size!);
    const page = s.core.pageOf(blocks[0]!);
    assert.ok(
      blocks.every((p) => s.core.pageOf(p) === page),
      `${size} B: one page`,
    );
    assert.equal(capacityOf(s, blocks[0]!), reserved);
    assert.notEqual(s.core.pageOf(s.core.malloc(size!)), page);
  }
  assertValid(s);
});

row("15: reserved - 1021 blocks of 64 B, 8 of 8192 B, 1362 of 48 B", (make) => {
  const s = make();
  assert.equal(reservedOf(s, s.core.malloc(64)), 1021);
  assert.equal(reservedOf(s, s.core.malloc(8192)), 8);
  assert.equal(reservedOf(s, s.core.malloc(48)), 1362);
});

row("15: reserved - small pages are one slice, medium pages more", (make) => {
  const s = make();
  const small = s.core.pageOf(s.core.malloc(L.SMALL_MAX));
  assert.equal(s.word(small, L.D_SLICES), 1);
  const medium = s.core.pageOf(s.core.malloc(L.SMALL_MAX + 1));
  assert.equal(s.word(medium, L.D_SLICES), L.MEDIUM_SLICES);
});

row("15: reserved - a medium page holds blocks of several sizes in 64 units of 2 KiB", (make) => {
  const s = make();
  const sizes = [L.SMALL_MAX + 1, 30000, L.MEDIUM_MAX, 20000];
  const blocks = sizes.map((size) => s.core.malloc(size));
  const page = s.core.pageOf(blocks[0]!);
  assert.ok(blocks.every((p) => s.core.pageOf(p) === page));
  assert.deepEqual(
    blocks.map((p) => (p - blocks[0]!) / L.UNIT_SIZE),
    [0, 5, 20, 52],
  );
  assert.notEqual(s.core.pageOf(s.core.malloc(L.SMALL_MAX + 1)), page, "2 units are left");
  s.core.free(blocks[1]!);
  assert.equal(s.core.malloc(14 * L.UNIT_SIZE), blocks[1], "15 units came back in between");
  assertValid(s);
});

row("16: no immediate reuse - the 61st malloc(64) after 4 live, 3 freed", (make) => {
  const s = make();
  const [, a, b, c] = mallocMany(s, 4, 64);
  for (const p of [a!, b!, c!]) s.core.free(p);
  const next = mallocMany(s, 60, 64);
  assert.ok(
    next.every((p) => p > c!),
    "60 blocks that were never used",
  );
  assert.equal(s.core.malloc(64), c);
});

row("17: LIFO after collect - the freed blocks are allocated as c, b, a", (make) => {
  const s = make();
  const [, a, b, c] = mallocMany(s, 4, 64);
  for (const p of [a!, b!, c!]) s.core.free(p);
  mallocMany(s, 60, 64);
  assert.deepEqual(mallocMany(s, 3, 64), [c, b, a]);
  assertValid(s);
});

row("18: full page lazily moved - at the 9th malloc(8192), not at the 8th", (make) => {
  const s = make();
  const blocks = mallocMany(s, 8, 8192);
  const page = s.core.pageOf(blocks[0]!);
  assert.equal(isFull(s, page), false);
  const other = s.core.pageOf(s.core.malloc(8192));
  assert.equal(isFull(s, page), true);
  assert.notEqual(other, page);
  assert.deepEqual(fullPages(s), [page]);
  assert.equal(s.heap(L.H_PAGES), 2);
  assertValid(s);
});

row("19: unfull on local free - to the end of the queue, behind the page in use", (make) => {
  const s = make();
  const blocks = mallocMany(s, 9, 8192);
  const page = s.core.pageOf(blocks[0]!);
  const other = s.core.pageOf(blocks[8]!);
  s.core.free(blocks[3]!);
  assert.equal(isFull(s, page), false);
  assert.deepEqual(queuePages(s, s.word(page, L.D_BIN)), [other, page]);
  assert.ok(mallocMany(s, 7, 8192).every((p) => s.core.pageOf(p) === other));
  assert.equal(s.core.malloc(8192), blocks[3]);
  assert.deepEqual(fullPages(s), [other]);
  assertValid(s);
});

row("19: unfull on local free - freeing all of many full pages empties the heap", (make) => {
  const s = make();
  const blocks = mallocMany(s, 80, 8192);
  assert.equal(fullPages(s).length, 9);
  for (const p of blocks) s.core.free(p);
  assert.deepEqual(fullPages(s), []);
  assert.equal(s.heap(L.H_PAGES), 1);
  assertEmpty(s);
});

row("19: unfull on local free - the counters of the page include the block", (make) => {
  const s = make();
  const blocks = mallocMany(s, 9, 8192);
  const page = s.core.pageOf(blocks[0]!);
  assert.equal(usedOf(s, page), 8);
  s.core.free(blocks[0]!);
  s.core.free(blocks[5]!);
  assert.equal(usedOf(s, page), 6);
  assertValid(s);
});
