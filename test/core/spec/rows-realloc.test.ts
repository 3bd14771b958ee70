/** Rows 29-35 of the checklist: the calls of realloc and the string duplicators. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { assertEmpty, assertValid } from "../../support/pages.js";
import { rowInBoth as row } from "../../support/variants.js";

/** Writes 1, 2, 3 … 250, 1, … into a block. */
function fill(s: CoreSubject, p: number, size: number): void {
  const bytes = s.bytes();
  for (let i = 0; i < size; i++) bytes[p + i] = 1 + (i % 250);
}

function assertFilled(s: CoreSubject, p: number, size: number): void {
  const bytes = s.bytes();
  for (let i = 0; i < size; i++) assert.equal(bytes[p + i], 1 + (i % 250), `byte ${i}`);
}

function assertZero(s: CoreSubject, p: number, from: number, to: number): void {
  const at = s
    .bytes()
    .subarray(p + from, p + to)
    .findIndex((byte) => byte !== 0);
  assert.equal(at, -1, `byte ${from + at} of ${from} .. ${to}`);
}

/** Leaves freed blocks of FF in the page of a size, which are used again next. */
function soil(s: CoreSubject, size: number): void {
  const keep = s.core.malloc(size);
  const blocks = Array.from({ length: 2000 }, () => s.core.malloc(size));
  const usable = s.core.usableSize(keep);
  for (const p of blocks) s.bytes().fill(0xff, p, p + usable);
  for (const p of blocks) s.core.free(p);
}

row("29: realloc null/0 - a real block, byte 0 is 0; realloc(p, 0) another one", (make) => {
  const s = make();
  soil(s, 8);
  for (let i = 0; i < 2000; i++) {
    const p = s.core.realloc(0, 0);
    assert.notEqual(p, 0);
    assert.equal(s.bytes()[p], 0);
    if (i % 3 !== 0) continue;
    const q = s.core.realloc(p, 0);
    assert.ok(q !== 0 && q !== p);
    assert.equal(s.bytes()[q], 0);
  }
  const q = s.core.realloc(0, 100);
  assert.equal(s.core.usableSize(q), 112);
  assertValid(s);
});

row("30: realloc in place - 56 .. 112 of 112 stay, 55 and 113 move, content kept", (make) => {
  const s = make();
  const p = s.core.malloc(112);
  fill(s, p, 112);
  for (let size = 56; size <= 112; size++) assert.equal(s.core.realloc(p, size), p);
  const more = s.core.realloc(p, 113);
  assert.notEqual(more, p);
  assertFilled(s, more, 112);
  const back = s.core.realloc(more, 112);
  const less = s.core.realloc(back, 55);
  assert.notEqual(less, back);
  assert.equal(s.core.usableSize(less), 64);
  assertFilled(s, less, 55);
  s.core.free(less);
  assertEmpty(s);
});

row("30: realloc in place - content survives every change of class", (make) => {
  const s = make();
  const sizes = [1, 8, 9, 17, 100, 33, 129, 128, 127, 1025, 200, 16385, 65536, 65537, 90000, 30];
  let p = s.core.malloc(1);
  let last = 1;
  for (const size of sizes) {
    fill(s, p, last);
    p = s.core.realloc(p, size);
    assertFilled(s, p, Math.min(last, size));
    assert.ok(s.core.usableSize(p) >= size);
    last = size;
  }
  s.core.free(p);
  assertEmpty(s);
});

/** More than the row requires: large blocks grow and shrink in place, slice by slice. */
row("30: realloc in place - large blocks, slice by slice, while neighbours are free", (make) => {
  const s = make();
  const p = s.core.malloc(3 * L.SLICE_SIZE);
  fill(s, p, 3 * L.SLICE_SIZE);
  assert.equal(s.core.realloc(p, 40 * L.SLICE_SIZE), p);
  assert.equal(s.core.realloc(p, 2 * L.SLICE_SIZE), p);
  const q = s.core.malloc(2 * L.SLICE_SIZE);
  assert.equal(q, p + 2 * L.SLICE_SIZE, "the slices that p gave back");
  const moved = s.core.realloc(p, 3 * L.SLICE_SIZE);
  assert.notEqual(moved, p);
  assertFilled(s, moved, 2 * L.SLICE_SIZE);
  s.core.free(q);
  s.core.free(moved);
  assertEmpty(s);
});

row("31: realloc failure - p is still readable; reallocf frees p", (make) => {
  const s = make();
  for (const size of [100, 40000, 100000]) {
    const p = s.core.malloc(size);
    fill(s, p, size);
    s.errors.length = 0;
    assert.equal(s.core.realloc(p, L.SIZE_MAX + 1), 0);
    assert.deepEqual(
      s.errors.map(([code]) => code),
      [L.EOVERFLOW, L.EOVERFLOW, L.ENOMEM],
    );
    assertFilled(s, p, size);
    assert.equal(s.core.rezalloc(p, L.SIZE_MAX + 1), 0);
    assert.equal(s.core.reallocn(p, 65536, 65536), 0);
    assertFilled(s, p, size);
    assert.equal(s.core.reallocf(p, L.SIZE_MAX + 1), 0);
  }
  assertEmpty(s);
});

row("31: realloc failure - reallocf that succeeds is realloc", (make) => {
  const s = make();
  const p = s.core.malloc(100);
  fill(s, p, 100);
  const q = s.core.reallocf(p, 1000);
  assertFilled(s, q, 100);
  s.core.free(q);
  assertEmpty(s);
});

row("32: rezalloc growth - zalloc(100) all FF in 0..99, then 1000: 100..999 zero", (make) => {
  const s = make();
  soil(s, 1000);
  for (let i = 0; i < 100; i++) {
    const p = s.core.zalloc(100);
    s.bytes().fill(0xff, p, p + 100);
    const q = s.core.rezalloc(p, 1000);
    assert.ok(
      s
        .bytes()
        .subarray(q, q + 100)
        .every((byte) => byte === 0xff),
    );
    assertZero(s, q, 100, 1000);
  }
});

/** The second growth stays in the block of the first, whose slack must be zero then. */
row("32: rezalloc growth - 100, 1000, 1024: 100..1023 zero", (make) => {
  const s = make();
  soil(s, 1000);
  for (let i = 0; i < 100; i++) {
    const p = s.core.rezalloc(s.core.zalloc(100), 1000);
    const q = s.core.rezalloc(p, 1024);
    assert.equal(q, p);
    assertZero(s, q, 0, 1024);
  }
});

row("32: rezalloc growth - large blocks in place, over slices that were used", (make) => {
  const s = make();
  const p = s.core.zalloc(2 * L.SLICE_SIZE);
  const used = s.core.malloc(5 * L.SLICE_SIZE);
  assert.equal(used, p + 2 * L.SLICE_SIZE);
  s.bytes().fill(0xff, used, used + 5 * L.SLICE_SIZE);
  s.core.free(used);
  assert.equal(s.core.rezalloc(p, 4 * L.SLICE_SIZE - 100), p);
  assertZero(s, p, 0, 4 * L.SLICE_SIZE);
  assert.equal(s.core.recalloc(p, 9, L.SLICE_SIZE), p, "4 used slices and 2 new ones");
  assertZero(s, p, 0, 9 * L.SLICE_SIZE);
});

row("33: rezalloc stale quirk - zalloc(200)/FF, 120, 200: byte 150 is FF", (make) => {
  const s = make();
  const p = s.core.zalloc(200);
  s.bytes().fill(0xff, p, p + 200);
  assert.equal(s.core.rezalloc(p, 120), p);
  assert.equal(s.core.rezalloc(p, 200), p);
  assert.equal(s.bytes()[p + 150], 0xff);
});

row("33: rezalloc stale quirk - growth in place keeps all bytes of a medium block", (make) => {
  const s = make();
  const p = s.core.zalloc(10240);
  assert.equal(s.core.usableSize(p), 10240);
  s.bytes().fill(0xff, p, p + 10240);
  assert.equal(s.core.rezalloc(p, 30000), p);
  assert.ok(
    s
      .bytes()
      .subarray(p, p + 10240)
      .every((byte) => byte === 0xff),
  );
  assertZero(s, p, 10240, 30000);
});

row("34: expand - p up to usable, else 0, never moves", (make) => {
  const s = make();
  for (const size of [100, 20000, 100000]) {
    const p = s.core.malloc(size);
    const usable = s.core.usableSize(p);
    assert.equal(s.core.expand(p, usable), p);
    assert.equal(s.core.expand(p, usable + 1), 0);
    assert.equal(s.core.expand(p, 1), p);
    assert.equal(s.core.usableSize(p), usable);
  }
  assert.equal(s.core.expand(0, 1), 0);
  assert.equal(s.core.expand(0, 0), 0);
});

function put(s: CoreSubject, text: string): number {
  const p = s.core.malloc(text.length + 1);
  s.bytes().set(Buffer.from(`${text}\0`, "latin1"), p);
  return p;
}

function textAt(s: CoreSubject, p: number): string {
  const end = s.bytes().indexOf(0, p);
  return Buffer.from(s.bytes().slice(p, end)).toString("latin1");
}

row('35: strdup/strndup - strndup("hello", 3) is "hel"; strdup(null) is null', (make) => {
  const s = make();
  soil(s, 6);
  const hello = put(s, "hello");
  assert.equal(textAt(s, s.core.strndup(hello, 3)), "hel");
  assert.equal(textAt(s, s.core.strndup(hello, 5)), "hello");
  assert.equal(textAt(s, s.core.strndup(hello, 99)), "hello");
  assert.equal(textAt(s, s.core.strndup(hello, 0)), "");
  const copy = s.core.strdup(hello);
  assert.notEqual(copy, hello);
  assert.equal(textAt(s, copy), "hello");
  const long = "0123456789abcdef".repeat(7000);
  assert.equal(textAt(s, s.core.strdup(put(s, long))), long);
  assert.equal(s.core.strdup(0), 0);
  assert.equal(s.core.strndup(0, 3), 0);
});
