/** Rows 33, 34, 43 to 55 and 74 of the checklist: deliberate mistakes, and their reports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import {
  backEnds,
  builds,
  type CoreSubject,
  coreAttached,
  coreSubject,
} from "../../support/core.js";
import { ALL, hardRow, SECURE } from "../../support/hard.js";

const PADDED = { bits: L.HARD_PADDING | L.HARD_CANARY };

/** Sizes in bytes: small, medium and large. */
const SIZES = [1, 13, 24, 100, 513, 1025, 8000, 8193, 20000, 65528, 65529, 300000];

function assertQuiet(s: CoreSubject): void {
  assert.deepEqual(s.reports, []);
  assert.deepEqual(s.errors, []);
}

hardRow("43: the usable size is the requested size", PADDED, (s) => {
  for (const size of SIZES) assert.equal(s.core.usableSize(s.core.malloc(size)), size);
  assert.equal(s.core.usableSize(s.core.malloc(0)), 8);
  assert.equal(s.core.usableSize(s.core.calloc(3, 7)), 21);
  for (const alignment of [16, 64, 4096, 65536, 1 << 20]) {
    for (const size of SIZES) {
      const p = s.core.memalign(alignment, size);
      assert.equal(p % alignment, 0);
      assert.equal(s.core.usableSize(p), size, `${size} at ${alignment}`);
      s.core.free(p);
    }
  }
  const odd = s.core.memalignAt(32, 50, 8);
  assert.equal((odd + 8) % 32, 0);
  assert.equal(s.core.usableSize(odd), 50);
  s.core.free(odd);
  for (const alignment of [1, 4, 8, 64]) {
    const none = s.core.memalignAt(alignment, 0, 3);
    assert.equal(s.core.usableSize(none), 8);
    s.core.free(none);
  }
  assertQuiet(s);
  assert.ok(s.core.heapIsValid());
});

hardRow("44: a write behind a block is reported to the byte", { bits: L.HARD_PADDING }, (s) => {
  for (const size of SIZES) {
    const p = s.core.malloc(size);
    const slack = s.core.goodSize(size + 8) - 8 - size;
    for (const offset of [0, 1, 7, 15]) {
      if (offset >= Math.min(slack, 16)) continue;
      s.reports.length = 0;
      const q = s.core.malloc(size);
      s.bytes()[q + size + offset] = 7;
      s.core.free(q);
      assert.deepEqual(s.reports, [[L.REPORT_OVERFLOW, q, size, size + offset]]);
    }
    s.reports.length = 0;
    s.core.free(p);
    assertQuiet(s);
  }
  assert.ok(s.core.heapIsValid(), "each free completes after its report");
});

hardRow(
  "44: also behind aligned blocks, and when a block is resized in place",
  { bits: L.HARD_PADDING },
  (s) => {
    const p = s.core.memalign(256, 300);
    s.bytes()[p + 300] = 0;
    s.core.free(p);
    assert.deepEqual(s.reports, [[L.REPORT_OVERFLOW, p, 300, 300]]);
    const q = s.core.malloc(100);
    assert.equal(s.core.realloc(q, 60), q);
    assert.equal(s.core.usableSize(q), 60);
    s.bytes()[q + 61] = 0;
    assert.equal(s.core.realloc(q, 50), q);
    assert.deepEqual(
      s.reports[1],
      [L.REPORT_OVERFLOW, q, 60, 61],
      "before the traces are overwritten",
    );
  },
);

hardRow("45: a record that was overwritten", { bits: L.HARD_CANARY }, (s) => {
  for (const [size, usable] of [
    [13, 24],
    [100, 104],
    [9000, 10232],
    [100000, 131064],
  ] as const) {
    s.reports.length = 0;
    const p = s.core.malloc(size);
    s.bytes()[p + usable] = (s.bytes()[p + usable]! + 1) & 0xff;
    s.core.free(p);
    assert.deepEqual(s.reports, [[L.REPORT_OVERFLOW, p, usable, usable]]);
  }
  assert.ok(s.core.heapIsValid());
});

hardRow("45: a record whose delta is impossible", { bits: L.HARD_PADDING }, (s) => {
  const p = s.core.malloc(13);
  s.words()[(p + 28) / 4] = 1000;
  assert.equal(s.core.usableSize(p), 24);
  s.core.free(p);
  assert.deepEqual(s.reports, [[L.REPORT_OVERFLOW, p, 24, 24]]);
});

hardRow("46: only the first 16 bytes of slack are checked", PADDED, (s) => {
  const p = s.core.malloc(513);
  s.bytes()[p + 513 + 15] = 1;
  s.core.free(p);
  assert.deepEqual(s.reports, [[L.REPORT_OVERFLOW, p, 513, 528]]);
  const q = s.core.malloc(513);
  s.bytes()[q + 513 + 16] = 1;
  s.core.free(q);
  assert.equal(s.reports.length, 1);
});

/** Frees a block twice; its page has another block in use. */
function freeTwice(s: CoreSubject, size: number): void {
  const other = s.core.malloc(size);
  const p = s.core.malloc(size);
  s.core.free(p);
  s.core.free(p);
  assert.ok(s.core.heapIsValid(), "lists and counters are as after one free");
  const found = s.reports.map(([kind, ptr]) => [kind, ptr]);
  assert.deepEqual(found, [[L.REPORT_DOUBLE_FREE, p]]);
  s.core.free(other);
  assert.ok(s.core.heapIsValid());
}

for (const [name, bits] of [
  ["by the lists", L.HARD_DOUBLE_FREE],
  ["by the lists, encoded", L.HARD_DOUBLE_FREE | L.HARD_ENCODE],
  ["by the lists, shuffled", L.HARD_DOUBLE_FREE | L.HARD_SHUFFLE],
  ["by the record", L.HARD_DOUBLE_FREE | L.HARD_PADDING],
  ["with everything", ALL],
] as const) {
  hardRow(`47: a double free is found ${name}`, { bits }, (s) => {
    for (const size of [8, 100, 5000]) {
      freeTwice(s, size);
      s.reports.length = 0;
    }
    freeTwice(s, 20000);
    s.reports.length = 0;
    s.core.free(s.core.malloc(20000));
    assert.deepEqual(s.reports, [], "the block can be allocated again");
  });
}

hardRow("47: a free block whose record was overwritten", { bits: ALL & ~L.HARD_FILL }, (s) => {
  const [keep, p] = [s.core.malloc(24), s.core.malloc(24)];
  s.core.free(p);
  s.bytes().fill(0x41, p + 8, p + 32);
  s.core.free(p);
  assert.deepEqual(s.reports, [[L.REPORT_DOUBLE_FREE, p, 24, 0]], "the lists contain it");
  s.core.free(keep);
  assert.ok(s.core.heapIsValid());
});

hardRow("47: a block that was never allocated", { bits: SECURE | L.HARD_SHUFFLE }, (s) => {
  const p = s.core.malloc(48);
  const fresh = p + 64 < s.word(s.core.pageOf(p), L.D_FRESH_END) ? p + 64 : p - 64;
  s.core.free(fresh);
  assert.deepEqual(
    s.reports.map(([kind, ptr]) => [kind, ptr]),
    [[L.REPORT_DOUBLE_FREE, fresh]],
  );
  assert.ok(s.core.heapIsValid());
});

hardRow(
  "47: realloc of a block that is free",
  { bits: L.HARD_DOUBLE_FREE | L.HARD_PADDING },
  (s) => {
    const [keep, p] = [s.core.malloc(100), s.core.malloc(100)];
    s.core.free(p);
    assert.equal(s.core.realloc(p, 90), 0);
    assert.deepEqual(s.reports, [[L.REPORT_DOUBLE_FREE, p, 104, 0]]);
    s.core.free(keep);
    assert.ok(s.core.heapIsValid());
  },
);

/** Two instances over one memory, as two threads. */
function twoThreads(backEnd: "wasm" | "js", bits: number): [CoreSubject, CoreSubject] {
  const mine = coreSubject(backEnd, 4096, 0, "shared", { bits });
  return [mine, coreAttached(backEnd, mine)];
}

for (const backEnd of backEnds) {
  test(`${backEnd}: row 48: if two threads free one block, the second gets the report`, () => {
    const [mine, other] = twoThreads(backEnd, SECURE);
    for (const size of [40, 20000, 300000]) {
      const keep = mine.core.malloc(size);
      const p = mine.core.malloc(size);
      other.core.free(p);
      if (size === 300000) continue; // its memory is the state's again: see row 50
      other.core.free(p);
      mine.core.free(p);
      assert.deepEqual(
        [...other.reports, ...mine.reports].map(([kind, ptr]) => [kind, ptr]),
        [
          [L.REPORT_DOUBLE_FREE, p],
          [L.REPORT_DOUBLE_FREE, p],
        ],
      );
      other.reports.length = 0;
      mine.reports.length = 0;
      mine.core.free(keep);
    }
    mine.core.heapCollect(true);
    assert.ok(mine.core.heapIsValid());
  });

  test(`${backEnd}: row 48: another thread frees a block that was never allocated`, () => {
    const [mine, other] = twoThreads(backEnd, SECURE | L.HARD_SHUFFLE);
    const p = mine.core.malloc(48);
    const page = mine.core.pageOf(p);
    const fresh = p + 64 < mine.word(page, L.D_FRESH_END) ? p + 64 : p - 64;
    other.core.free(fresh);
    assert.deepEqual(
      other.reports.map(([kind, ptr]) => [kind, ptr]),
      [[L.REPORT_DOUBLE_FREE, fresh]],
    );
  });

  test(`${backEnd}: row 48: without a record a remote double free is not found`, () => {
    const [mine, other] = twoThreads(backEnd, L.HARD_DOUBLE_FREE | L.HARD_ENCODE);
    const [keep, p] = [mine.core.malloc(40), mine.core.malloc(40)];
    other.core.free(p);
    mine.core.free(p);
    assert.equal(mine.reports.length, 1, "the owner finds it on the remote list");
    const q = mine.core.malloc(40);
    other.core.free(q);
    other.core.free(q);
    assert.deepEqual(
      other.reports,
      [],
      "a thread that does not own the page cannot walk its lists",
    );
    assert.notEqual(keep, 0);
  });

  test(`${backEnd}: rows 44 and 52: a remote free checks a block before it pushes it`, () => {
    const [mine, other] = twoThreads(backEnd, PADDED.bits | L.HARD_FILL);
    for (const size of [13, 20000 - 8 - 5, 300000]) {
      const p = mine.core.malloc(size);
      mine.bytes()[p + size] = 1;
      other.core.free(p);
      assert.deepEqual(other.reports.splice(0), [[L.REPORT_OVERFLOW, p, size, size]]);
      assert.equal(mine.bytes()[p + 8], 0xdf);
    }
    assert.deepEqual(mine.reports, []);
    mine.core.heapCollect(true);
    assert.ok(mine.core.heapIsValid());
  });

  test(`${backEnd}: row 49: a damaged remote list is dropped`, () => {
    const [mine, other] = twoThreads(backEnd, L.HARD_ENCODE);
    const blocks = Array.from({ length: 8 }, () => mine.core.malloc(64));
    mine.core.free(blocks[0]!);
    for (const p of blocks.slice(1, 5)) other.core.free(p);
    flipOut(mine, mine.core.pageOf(blocks[3]!), blocks[3]!);
    mine.core.heapCollect(false);
    assert.deepEqual(mine.errors, [[14, 64]]);
    assert.ok(mine.core.heapIsValid());
    for (let i = 0; i < 3000; i++) assert.notEqual(mine.core.malloc(64), 0);
  });
}

function isInPage(block: number, next: number): boolean {
  return next >>> 16 === block >>> 16 && next % 8 === 0;
}

/**
 * Flips a bit of a link so that it leads out of the page, which 16 bits or more do. With the others
 * it leads to another address in the page, which cannot be told from a valid one.
 */
function flipOut(s: CoreSubject, page: number, block: number): void {
  const inside = (bit: number) => {
    s.words()[block / 4]! ^= 1 << bit;
    const next = s.core.linkLoad(page, block);
    s.words()[block / 4]! ^= 1 << bit;
    return isInPage(block, next);
  };
  const out = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => !inside(bit));
  assert.ok(out.length >= 16, `${out.length} bits lead out of the page`);
  s.words()[block / 4]! ^= 1 << (out[7] as number);
}

hardRow("49: a damaged link of a free list", { bits: L.HARD_ENCODE }, (s) => {
  const blocks = Array.from({ length: 64 }, () => s.core.malloc(64));
  const page = s.core.pageOf(blocks[0]!);
  for (const p of blocks.slice(0, 32)) s.core.free(p);
  const victim = blocks[20]!;
  flipOut(s, page, victim);
  const live = new Set(blocks.slice(32));
  for (let i = 0; i < 3000; i++) {
    const p = s.core.malloc(64);
    assert.ok(p !== 0 && !live.has(p), "allocation goes on, with blocks that are not in use");
    live.add(p);
  }
  assert.deepEqual(s.reports.length, 1);
  const [kind, ptr, size, value] = s.reports[0]!;
  assert.deepEqual([kind, ptr, size], [L.REPORT_FREE_LIST, victim, 64]);
  assert.ok(!isInPage(victim, value), "the link leads out of the page");
  assert.ok(s.core.heapIsValid(), "blocks behind it stay in use");
});

hardRow(
  "50: a foreign pointer is refused, and memory does not change",
  { bits: L.HARD_CHECKED_FREE },
  (s) => {
    const p = s.core.malloc(100);
    const gone = s.core.malloc(300000);
    s.core.free(gone);
    const before = Buffer.from(s.bytes().subarray(s.base));
    const foreign = [8, s.base + 4096, p + 0x10000 * 20, 0xfffffff0, gone];
    for (const at of foreign) s.core.free(at);
    const found = s.reports.map(([kind, ptr]) => [kind, ptr]);
    assert.deepEqual(
      found,
      foreign.map((at) => [L.REPORT_FOREIGN, at]),
    );
    assert.equal(s.core.usableSize(8), 0);
    assert.equal(s.core.realloc(16, 50), 0);
    assert.deepEqual(s.reports.slice(-2), [
      [L.REPORT_FOREIGN, 8, 1, 0],
      [L.REPORT_FOREIGN, 16, 2, 0],
    ]);
    assert.equal(Buffer.compare(before, Buffer.from(s.bytes().subarray(s.base))), 0);
  },
);

hardRow("51: an unaligned pointer, and one into a block", { bits: L.HARD_CHECKED_FREE }, (s) => {
  for (const size of [100, 5000, 20000, 300000]) {
    const p = s.core.malloc(size);
    const before = Buffer.from(s.bytes().subarray(s.base));
    s.core.free(p + 1);
    s.core.free(p + 8);
    assert.deepEqual(s.reports.splice(0), [
      [L.REPORT_UNALIGNED, p + 1, 0, 0],
      [L.REPORT_INTERIOR, p + 8, 0, 0],
    ]);
    assert.equal(Buffer.compare(before, Buffer.from(s.bytes().subarray(s.base))), 0);
    s.core.free(p);
    assertQuiet(s);
  }
});

hardRow(
  "51: a record identifies interior pointers of aligned blocks",
  { bits: L.HARD_CHECKED_FREE | L.HARD_CANARY | L.HARD_DOUBLE_FREE },
  (s) => {
    s.core.malloc(340); // keeps the page and its mark
    const p = s.core.memalignAt(32, 300, 8);
    s.core.free(p + 16);
    s.core.free(p - 8);
    assert.deepEqual(s.reports.splice(0), [
      [L.REPORT_INTERIOR, p + 16, 0, 0],
      [L.REPORT_INTERIOR, p - 8, 0, 0],
    ]);
    s.core.free(p);
    assertQuiet(s);
    s.core.free(p + 16);
    assert.deepEqual(s.reports, [[L.REPORT_INTERIOR, p + 16, 0, 0]], "of a freed one too");
    assert.ok(s.core.heapIsValid());
  },
);

function bytesAre(s: CoreSubject, from: number, to: number, value: number, what: string): void {
  for (let at = from; at < to; at++) {
    if (s.bytes()[at] !== value) assert.fail(`${what}: byte ${at - from} is ${s.bytes()[at]}`);
  }
}

hardRow("52: fresh bytes are D0, freed ones DF", { bits: L.HARD_FILL }, (s) => {
  for (const size of SIZES.slice(1)) {
    const keep = s.core.malloc(size);
    const p = s.core.malloc(size);
    bytesAre(s, p, p + size, 0xd0, "fresh");
    const usable = s.core.usableSize(p);
    s.core.free(p);
    bytesAre(s, p + 8, p + usable, 0xdf, "freed");
    const z = s.core.zalloc(size);
    bytesAre(s, z, z + size, 0, "zeroed");
    s.core.free(keep);
  }
});

hardRow("52: the slack of a padded block is DE", { bits: L.HARD_PADDING }, (s) => {
  const p = s.core.malloc(513);
  bytesAre(s, p + 513, p + 529, 0xde, "slack");
  assert.notEqual(s.bytes()[p + 529], 0xde);
});

/** Addresses of the first blocks of a size. */
function order(s: CoreSubject, size: number, count: number): number[] {
  return Array.from({ length: count }, () => s.core.malloc(size) - s.base);
}

const isAscending = (list: number[]) => list.every((p, i) => i === 0 || p > list[i - 1]!);

hardRow(
  "54: the order of fresh blocks is random and depends on the seed",
  { bits: L.HARD_SHUFFLE, seed: 5 },
  (s, make) => {
    const first = order(s, 64, 64);
    assert.ok(!isAscending(first));
    const start = Math.min(...first);
    assert.deepEqual(
      first.toSorted?.((a, b) => a - b) ?? [...first].sort((a, b) => a - b),
      Array.from({ length: 64 }, (_, i) => start + i * 64),
    );
    assert.deepEqual(order(make(), 64, 64), first, "the same seed");
    assert.notDeepEqual(order(make({ seed: 6 }), 64, 64), first, "another seed");
  },
);

hardRow("54: runs of several blocks are ascending within", { bits: L.HARD_SHUFFLE }, (s) => {
  for (const [size, count, runs] of [
    [16, 256, 64],
    [40, 85, 64],
    [1024, 32, 32],
    [5000, 11, 8],
  ] as const) {
    const got = order(s, size, count);
    const block = s.core.goodSize(size);
    const start = Math.min(...got);
    const each = Math.floor(count / runs);
    const run = (p: number) => Math.min(runs - 1, Math.floor((p - start) / block / each));
    for (let i = 0; i < runs; i++) assert.ok(isAscending(got.filter((p) => run(p) === i)));
    assert.equal(new Set(got).size, count);
    assert.ok(!isAscending(got), `${size}`);
  }
  assert.ok(s.core.heapIsValid());
});

hardRow("54: without the feature they come in order", { bits: ALL & ~L.HARD_SHUFFLE }, (s) => {
  assert.ok(isAscending(order(s, 64, 64)));
});

hardRow("55: an extension has at least 32 blocks", { bits: L.HARD_SHUFFLE }, (s) => {
  const capacity = (size: number) => s.core.pageCapacity(s.core.pageOf(s.core.malloc(size)));
  assert.equal(capacity(8192), 8, "all that fit");
  assert.equal(capacity(1024), 32);
  assert.equal(capacity(64), 64);
});

hardRow(
  "7.3: half of the time fresh blocks come before freed ones",
  { bits: L.HARD_SHUFFLE },
  (s) => {
    const blocks = order(s, 64, 64).map((p) => p + s.base);
    for (const p of blocks) s.core.free(p);
    const keep = s.core.malloc(64);
    const page = s.core.pageOf(keep);
    let extended = 0;
    for (let round = 0; round < 14; round++) {
      const before = s.word(page, L.D_FRESH_END);
      while (s.word(page, L.D_FREE) !== 0) blocks.push(s.core.malloc(64));
      s.core.free(blocks.pop()!);
      s.core.free(s.core.malloc(64));
      if (s.word(page, L.D_FRESH_END) !== before) extended++;
      if (s.word(page, L.D_FRESH_END) === s.word(page, L.D_END)) break;
    }
    assert.ok(extended > 0 && extended < 14, `${extended} of 14`);
  },
);

hardRow("33, 34: realloc, rezalloc and expand of padded blocks", PADDED, (s) => {
  const p = s.core.zalloc(200);
  s.bytes().fill(0xff, p, p + 200);
  assert.equal(s.core.rezalloc(p, 120), p, "in place down to a half");
  assert.equal(s.core.usableSize(p), 120, "and exact");
  const q = s.core.rezalloc(p, 200);
  assert.notEqual(q, p, "growth moves");
  bytesAre(s, q, q + 120, 0xff, "kept");
  bytesAre(s, q + 120, q + 200, 0, "no stale byte");
  assert.equal(s.core.realloc(q, 100), q);
  assert.notEqual(s.core.realloc(q, 49), q);
  for (const size of SIZES) {
    const r = s.core.malloc(size);
    assert.equal(s.core.expand(r, size), 0, "always null");
    assert.equal(s.core.expand(r, 1), 0);
  }
  assert.equal(s.core.expand(0, 1), 0);
  assertQuiet(s);
});

hardRow("34: expand without a record", { bits: L.HARD_ENCODE | L.HARD_FILL }, (s) => {
  const p = s.core.malloc(100);
  assert.equal(s.core.expand(p, s.core.usableSize(p)), p);
  assert.equal(s.core.expand(p, s.core.usableSize(p) + 1), 0);
});

hardRow("18: a block that malloc returns contains no link", { bits: L.HARD_ENCODE }, (s) => {
  const blocks = order(s, 64, 64).map((p) => p + s.base);
  for (const p of blocks) s.bytes().fill(0xee, p, p + 64);
  for (const p of blocks) s.core.free(p);
  let seen = 0;
  for (let i = 0; i < 200; i++) {
    const p = s.core.malloc(64);
    if (s.bytes()[p + 4] === 0xee) {
      seen++;
      assert.equal(s.word(p), 0);
    }
  }
  assert.ok(seen > 30, "freed blocks are allocated again");
});

hardRow(
  "18: links are encoded, and each page has keys of its own",
  { bits: L.HARD_ENCODE },
  (s) => {
    const blocks = order(s, 1000, 100).map((p) => p + s.base);
    for (const p of blocks.slice(1)) s.core.free(p);
    const [first, other] = [blocks[0]!, blocks[99]!].map((p) => s.core.pageOf(p));
    assert.notEqual(first, other);
    const freed = blocks.slice(2).filter((p) => s.core.pageOf(p) === first);
    assert.ok(freed.length > 40);
    for (const p of freed) {
      const next = s.core.linkLoad(first!, p);
      assert.equal(s.core.pageOf(next), first, "the page's keys decode it");
      assert.notEqual(s.word(p), next, "the word itself is not an address");
      assert.notEqual(s.core.linkLoad(other!, p), next, "nor do another page's keys");
    }
  },
);

const GUARD = 4096;

hardRow(
  "guard pages: behind each large block, as long as it lives",
  { bits: L.HARD_GUARD_PAGES | L.HARD_CANARY, guard: GUARD },
  (s) => {
    const [a, b] = [s.core.malloc(100000), s.core.memalign(1 << 17, 65536 * 3)];
    s.core.malloc(65000);
    assert.equal(s.guards.size, 2);
    for (const [p, size] of [
      [a, 100000],
      [b, 65536 * 3],
    ] as const) {
      const page = s.core.pageOf(p);
      const end = p + Math.ceil((size + 8) / GUARD) * GUARD;
      assert.equal(s.word(page, L.D_END), end);
      const bytes = s.guards.get(end)!;
      assert.ok(bytes >= GUARD && (end + bytes) % 65536 === 0);
      assert.equal(s.core.usableSize(p), size);
      assert.equal(s.core.contains(end), 0, "the guard is not part of the block");
    }
    s.core.free(a);
    assert.equal(s.guards.size, 1);
    const c = s.core.realloc(b, 65536 * 5);
    assert.notEqual(c, b, "no growth over a guard");
    s.core.free(c);
    assert.equal(s.guards.size, 0);
    assertQuiet(s);
    assert.ok(s.core.heapIsValid());
  },
);

hardRow(
  "guard pages: destroying a heap removes its guards",
  { bits: L.HARD_GUARD_PAGES, guard: 65536 },
  (s) => {
    const was = s.core.heapBind(s.core.heapNew());
    const beside = s.core.heapBound();
    for (let i = 0; i < 5; i++) s.core.malloc(70000 + i * 65536);
    s.core.heapBind(was);
    assert.equal(s.guards.size, 5);
    s.core.heapDestroy(beside);
    assert.equal(s.guards.size, 0);
  },
);

hardRow("guard pages: none where the source cannot protect", { bits: L.HARD_GUARD_PAGES }, (s) => {
  s.core.malloc(100000);
  assert.equal(s.guards.size, 0);
});

hardRow("6, 7: errors have the requested size", PADDED, (s) => {
  assert.equal(s.core.malloc(0x80000000), 0);
  assert.deepEqual(s.errors, [
    [75, 0x80000000],
    [75, 0x80000000],
    [12, 0x80000000],
  ]);
  assert.equal(s.core.malloc(0xffffffff), 0);
  s.errors.length = 0;
  s.refuseFrom = 1;
  assert.equal(s.core.malloc(0x7fff0000), 0);
  assert.deepEqual(s.errors, [[12, 0x7fff0000]]);
});

for (const build of builds) {
  test(`${build}: counters are those of a page without damage, whatever was reported`, () => {
    const s = coreSubject("wasm", 4096, 0, build, { bits: ALL });
    const blocks = Array.from({ length: 500 }, (_, i) => s.core.malloc(i));
    for (const [i, p] of blocks.entries()) {
      s.bytes()[p + Math.max(i, 8)] = 1;
      s.core.free(p);
      s.core.free(p);
      s.core.free(p + 8);
    }
    assert.ok(s.reports.length >= 1400, `${s.reports.length} reports`);
    s.core.heapCollect(true);
    assert.ok(s.core.heapIsValid());
    for (let bin = 1; bin < 40; bin++) {
      const p = s.core.malloc(bin * 8);
      assert.equal(s.word(s.core.pageOf(p), L.D_USED), 1);
      s.core.free(p);
    }
  });
}
