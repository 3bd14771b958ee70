/** Rows 20-22 of the checklist: retired pages, which are empty and kept for a while. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { assertEmpty, assertValid, queuePages, retireOf, usedOf } from "../../support/pages.js";
import { rowInBoth as row } from "../../support/variants.js";

/**
 * Sizes that need a fresh page each, all of different classes and none of 64 B, 1 KiB or 20 KiB.
 */
function* otherClasses(): Generator<number> {
  for (const from of [80, 160, 320, 640, 1280, 2560, 5120]) {
    for (let i = 0; i < 4; i++) yield from + (i * from) / 5;
  }
}

/** Mallocs one block of a class without pages: one sweep each. */
function sweeps(s: CoreSubject, classes: Generator<number>, count: number): void {
  for (let i = 0; i < count; i++) s.core.malloc(classes.next().value as number);
}

function emptyPage(s: CoreSubject, size: number): number {
  const p = s.core.malloc(size);
  const page = s.core.pageOf(p);
  s.core.free(p);
  return page;
}

row("20: retire keeps last page - for 17 sweeps, medium pages for 5", (make) => {
  const s = make();
  for (const [size, sweeps] of [
    [64, 17],
    [L.SMALL_MAX, 17],
    [L.SMALL_MAX + 1, 5],
    [L.MEDIUM_MAX, 5],
  ]) {
    const page = emptyPage(s, size!);
    assert.deepEqual(queuePages(s, s.word(page, L.D_BIN)), [page]);
    assert.equal(usedOf(s, page), 0);
    assert.equal(retireOf(s, page), sweeps, `${size} B`);
  }
  assertValid(s);
});

row("21: retire expiry - 16, 15, … 1, gone at the 17th sweep", (make) => {
  const s = make();
  const page = emptyPage(s, 64);
  const bin = s.word(page, L.D_BIN);
  const classes = otherClasses();
  for (let left = 16; left >= 1; left--) {
    sweeps(s, classes, 1);
    assert.equal(retireOf(s, page), left);
    assert.deepEqual(queuePages(s, bin), [page]);
  }
  sweeps(s, classes, 1);
  assert.deepEqual(queuePages(s, bin), []);
  assert.equal(s.heap(L.H_PAGES), 17);
  assertValid(s);
});

row("21: retire expiry - medium pages are gone at the 5th sweep", (make) => {
  const s = make();
  const page = emptyPage(s, L.SMALL_MAX + 1);
  const bin = s.word(page, L.D_BIN);
  const classes = otherClasses();
  for (let left = 4; left >= 1; left--) {
    sweeps(s, classes, 1);
    assert.equal(retireOf(s, page), left);
  }
  sweeps(s, classes, 1);
  assert.deepEqual(queuePages(s, bin), []);
});

row("21: retire expiry - large blocks do not sweep", (make) => {
  const s = make();
  const page = emptyPage(s, 64);
  for (let i = 0; i < 10; i++) s.core.malloc(100000);
  assert.equal(retireOf(s, page), 17);
});

/**
 * The page of the largest blocks was retired, filled and moved to the full queue before a sweep saw
 * it in use. When it is empty again, the sweeps must find it again.
 */
row("21: retire expiry - also of a page that was full in between", (make) => {
  const s = make();
  const page = emptyPage(s, L.SMALL_MAX);
  const bin = s.word(page, L.D_BIN);
  const fits = L.SLICE_SIZE / L.SMALL_MAX;
  const blocks = Array.from({ length: fits }, () => s.core.malloc(L.SMALL_MAX));
  assert.ok(
    blocks.every((p) => s.core.pageOf(p) === page),
    "the retired page is filled",
  );
  const other = s.core.malloc(L.SMALL_MAX);
  s.core.free(blocks.pop()!);
  s.core.free(other);
  for (const p of blocks) s.core.free(p);
  assert.deepEqual(queuePages(s, bin), [page]);
  assert.equal(retireOf(s, page), 17);
  sweeps(s, otherClasses(), 17);
  assert.deepEqual(queuePages(s, bin), []);
});

/** The fast path does not clear the retirement; the sweep that finds the page in use does. */
row("22: retire cancelled - allocated again: same page, 0 after the next sweep", (make) => {
  const s = make();
  const page = emptyPage(s, 64);
  const classes = otherClasses();
  sweeps(s, classes, 3);
  const p = s.core.malloc(64);
  assert.equal(s.core.pageOf(p), page);
  sweeps(s, classes, 1);
  assert.equal(retireOf(s, page), 0);
  sweeps(s, classes, 20);
  assert.deepEqual(queuePages(s, s.word(page, L.D_BIN)), [page]);
  assert.equal(s.core.contains(p), 1);
  s.core.free(p);
  assert.equal(retireOf(s, page), 17);
  assertValid(s);
});

row("22: retire cancelled - the generic path clears it at once", (make) => {
  const s = make();
  const [a, b] = [s.core.malloc(64), s.core.malloc(64)];
  const page = s.core.pageOf(a!);
  s.core.free(a!);
  s.core.free(b!);
  assert.equal(retireOf(s, page), 17);
  // First b and the 62 fresh blocks, then the collection of a.
  for (let i = 0; i < 64; i++) assert.equal(s.core.pageOf(s.core.malloc(64)), page);
  assert.equal(retireOf(s, page), 0);
});

row("22: retire cancelled - heapCollect gives a retired page back", (make) => {
  const s = make();
  emptyPage(s, 64);
  emptyPage(s, L.SMALL_MAX + 1);
  assert.equal(s.heap(L.H_PAGES), 2);
  assertEmpty(s);
});

/** If frees always empty the page, malloc never takes the generic path: the frees count instead. */
row("22: retire cancelled - pairs of malloc and free still have a heartbeat", (make) => {
  const s = make();
  const p = s.core.malloc(64);
  const before = s.heap(L.H_HEARTBEAT);
  for (let i = 0; i < 2600; i++) {
    s.core.free(i === 0 ? p : s.core.malloc(64));
  }
  const beats = s.heap(L.H_HEARTBEAT) - before;
  assert.ok(beats >= 9 && beats <= 11, `${beats} beats in 2600 pairs`);
  assertEmpty(s);
});
