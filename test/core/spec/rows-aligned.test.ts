/** Rows 37-42 of the checklist: aligned allocation. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { assertEmpty, assertValid, queuePages, retireOf, usedOf } from "../../support/pages.js";
import { Random } from "../../support/random.js";
import { rowInBoth as row } from "../../support/variants.js";

row("37: malloc_aligned - alignments 1 .. 1 MiB, size 13 * alignment", (make) => {
  const s = make();
  for (let alignment = 1; alignment <= L.ALIGNMENT_MAX; alignment *= 2) {
    const p = s.core.memalign(alignment, 13 * alignment);
    assert.ok(p !== 0 && p % alignment === 0, `memalign(${alignment}) = ${p}`);
    assert.ok(s.core.usableSize(p) >= 13 * alignment);
    s.core.free(p);
    assertEmpty(s);
  }
});

row("37: malloc_aligned - every alignment with every kind of size", (make) => {
  const s = make();
  const blocks: number[] = [];
  for (let alignment = 1; alignment <= 65536; alignment *= 2) {
    for (const size of [0, 1, 8, 24, 100, 1000, 1025, 5000, 16384, 17000, 65536, 70000]) {
      const p = s.core.aligned_alloc(alignment, size);
      assert.ok(p !== 0 && p % alignment === 0, `(${alignment}, ${size}) = ${p}`);
      assert.ok(s.core.usableSize(p) >= size, `usable (${alignment}, ${size})`);
      assert.equal(s.core.freeChecked(p), 0);
      blocks.push(s.core.memalign(alignment, size));
    }
  }
  assertValid(s);
  for (const p of blocks) s.core.free(p);
  assertEmpty(s);
});

row("38: big alignment - 2 .. 16 MiB; with an offset above 1 MiB null", (make) => {
  const s = make();
  for (let alignment = 2; alignment <= 16 * L.ALIGNMENT_MAX; alignment *= 2) {
    for (const size of [0, 1, 100, 70000]) {
      const p = s.core.memalign(alignment, size);
      assert.ok(p !== 0 && p % alignment === 0, `memalign(${alignment}, ${size}) = ${p}`);
      assert.ok(s.core.usableSize(p) >= size);
      s.core.free(p);
      assertEmpty(s);
    }
  }
  assert.equal(s.core.memalignAt(2 * L.ALIGNMENT_MAX, 100, 8), 0);
  const p = s.core.memalignAt(2 * L.ALIGNMENT_MAX, 100, 0);
  assert.equal(p % (2 * L.ALIGNMENT_MAX), 0);
});

row("38: big alignment - only the slices of the block stay taken", (make) => {
  const s = make();
  const p = s.core.memalign(L.ALIGNMENT_MAX, 100000);
  assert.equal(s.state(L.S_PAGE_SLICES), 2);
  assert.equal(s.core.usableSize(p), 131072);
  assertValid(s);
});

row("39: aligned_at - memalignAt(32, 50, 8): (p + 8) % 32 is 0", (make) => {
  const s = make();
  const random = new Random(39);
  const blocks: number[] = [];
  for (const offset of [8, 1, 3, 31, 32, 50, 4096]) {
    for (let alignment = 1; alignment <= 65536; alignment *= 4) {
      for (const size of [0, 50, random.between(1, 9000), 40000, 80000]) {
        const p = s.core.memalignAt(alignment, size, offset);
        assert.ok(p !== 0 && (p + offset) % alignment === 0, `${[alignment, size, offset]}: ${p}`);
        assert.ok(s.core.usableSize(p) >= size);
        blocks.push(p);
      }
    }
  }
  assert.equal((s.core.memalignAt(32, 50, 8) + 8) % 32, 0);
  assertValid(s);
});

row("40: bad alignment - 24 or 0 give null, posix_memalign 22 and 12", (make) => {
  const s = make();
  const out = s.core.malloc(16);
  s.words()[out / 4] = 0x5a5a5a5a;
  for (const alignment of [0, 3, 24, 0x80000001]) {
    assert.equal(s.core.memalign(alignment, 100), 0);
    assert.equal(s.core.memalignAt(alignment, 100, 8), 0);
    assert.equal(s.core.aligned_alloc(alignment, 100), 0);
    assert.equal(s.core.posix_memalign(out, alignment, 100), L.EINVAL);
  }
  assert.equal(s.core.posix_memalign(out, 2, 100), L.EINVAL, "less than a pointer");
  assert.equal(s.core.posix_memalign(0, 16, 100), L.EINVAL);
  assert.equal(s.core.posix_memalign(out, L.POINTER_SIZE, 0xffffffff), L.ENOMEM);
  assert.equal(s.core.posix_memalign(out, 4096, L.SIZE_MAX), L.ENOMEM);
  assert.equal(s.word(out), 0x5a5a5a5a, "untouched");
  assert.equal(s.core.posix_memalign(out, 256, 100), 0);
  const p = s.word(out);
  assert.ok(p !== 0 && p % 256 === 0 && s.core.usableSize(p) >= 100);
});

row("41: aligned interior free - mixed blocks of a page: used is 0, page retired", (make) => {
  const s = make();
  const blocks: number[] = [];
  for (let i = 0; i < 40; i++) {
    blocks.push(s.core.malloc(320), s.core.memalignAt(64, 250, 16));
  }
  const page = s.core.pageOf(blocks[0]!);
  assert.ok(
    blocks.every((p) => s.core.pageOf(p) === page),
    "one page",
  );
  assert.notEqual(s.word(page, L.D_OWNER) & L.FLAG_ALIGNED, 0);
  assert.ok(
    blocks.some((p) => s.core.usableSize(p) < 320),
    "interior addresses among them",
  );
  for (const p of blocks) s.core.free(p);
  assert.equal(usedOf(s, page), 0);
  assert.equal(retireOf(s, page), 17);
  assert.equal(s.word(page, L.D_OWNER) & L.FLAG_ALIGNED, 0);
  assert.ok(queuePages(s, s.core.binOf(320)).includes(page));
  assertEmpty(s);
});

row("41: aligned interior free - in full, medium and large pages", (make) => {
  const s = make();
  const blocks: number[] = [];
  for (let i = 0; i < 300; i++) {
    blocks.push(s.core.memalignAt(4096, 3000, 1024), s.core.memalignAt(8192, 30000, 16));
    if (i % 20 === 0) blocks.push(s.core.memalignAt(16384, 100000, 512));
  }
  assertValid(s);
  const random = new Random(41);
  while (blocks.length > 0) {
    const [p] = blocks.splice(random.below(blocks.length), 1);
    assert.equal(s.core.freeChecked(p!), 0);
  }
  assertEmpty(s);
});

/** A block p with p % 64 === 16. */
function sixteenOff(s: CoreSubject): number {
  for (;;) {
    const p = s.core.malloc(16);
    if (p % 64 === 16) return p;
  }
}

row("40: bad alignment - the calls of realloc refuse it too, also in place", (make) => {
  const s = make();
  const p = s.core.memalign(64, 100);
  for (const size of [100, 1000]) {
    assert.equal(s.core.reallocAligned(p, size, 24), 0);
    assert.equal(s.core.reallocAlignedAt(p, size, 24, 0), 0);
    assert.equal(s.core.reallocAlignedAt(p, size, 48, 16), 0);
  }
  assert.equal(s.core.freeChecked(p), 0, "p is unchanged");
  assertEmpty(s);
});

/** Not mimalloc 2.1's quirk, where the remainder of p becomes an offset: see differences.md. */
row("42: realloc_aligned quirk - p % 64 is 16: q % 64 is 0 all the same", (make) => {
  const s = make();
  const p = sixteenOff(s);
  s.bytes().fill(7, p, p + 16);
  const q = s.core.reallocAligned(p, 100, 64);
  assert.equal(q % 64, 0);
  assert.ok(
    s
      .bytes()
      .subarray(q, q + 16)
      .every((byte) => byte === 7),
  );
  assert.ok(s.core.usableSize(q) >= 100);
});

row("42: realloc_aligned quirk - aligned blocks stay aligned, in place while they fit", (make) => {
  const s = make();
  const random = new Random(42);
  let p = s.core.memalign(256, 100);
  for (let i = 0; i < 2000; i++) {
    const usable = s.core.usableSize(p);
    const size = random.skewed(1, 200000);
    const inPlace = size <= usable && size >= usable - Math.floor(usable / 2);
    const q = s.core.reallocAligned(p, size, 256);
    assert.equal(q % 256, 0);
    assert.equal(q === p, inPlace, `${usable} to ${size}`);
    p = q;
  }
  s.core.free(p);
  assertEmpty(s);
});

/** The copy of realloc must not take words if the block begins at an odd address. */
row("42: realloc_aligned quirk - realloc of a block at an odd address", (make) => {
  const s = make();
  const p = s.core.memalignAt(32, 20, 3);
  assert.equal((p + 3) % 32, 0);
  for (let i = 0; i < 20; i++) s.bytes()[p + i] = 100 + i;
  const q = s.core.realloc(p, 200);
  for (let i = 0; i < 20; i++) assert.equal(s.bytes()[q + i], 100 + i, `byte ${i}`);
  s.core.free(q);
  assertEmpty(s);
});
