/** Rows 119 to 123 of the checklist: releases, mistakes, exhaustion and statistics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSizeClassHeap, SizeClassError } from "#src/sizeclass/index.js";
import { original, statsOf } from "./original.js";

test("row 119: too little is free: nothing is released, and no time is taken", () => {
  let asked = 0;
  const subject = original({ releaseInterval: 0, now: () => ++asked });
  const chunks = subject.a.primary.getFrom(24, 64);
  subject.a.primary.returnTo(24, chunks.slice(0, 3)); // 3 KiB
  assert.deepEqual([subject.released.length, asked], [0, 0]);
  subject.a.primary.returnTo(24, chunks.slice(3, 4));
  assert.deepEqual([statsOf(subject, 24).releases, asked], [1, 1]);
});

test("row 119: too little was freed since the last release", () => {
  let asked = 0;
  const subject = original({ releaseInterval: 0, now: () => ++asked });
  const chunks = subject.a.primary.getFrom(24, 64);
  subject.a.primary.returnTo(24, chunks.slice(0, 32));
  assert.equal(asked, 1);
  for (const p of chunks.slice(32, 35)) subject.a.primary.returnTo(24, [p]);
  assert.equal(asked, 1);
  subject.a.primary.returnTo(24, chunks.slice(35, 36));
  assert.equal(asked, 2);
});

test("row 119: an interval of -1 never releases, and can be set later", () => {
  let asked = 0;
  const subject = original({ releaseInterval: -1, now: () => ++asked });
  const { primary } = subject.a;
  primary.returnTo(24, primary.getFrom(24, 64));
  assert.deepEqual([asked, statsOf(subject, 24).releases, primary.releaseInterval], [0, 0, -1]);
  primary.releaseInterval = 0;
  primary.returnTo(24, primary.getFrom(24, 1));
  assert.deepEqual([asked, statsOf(subject, 24).releases, primary.releaseInterval], [1, 1, 0]);
});

test("row 119: nothing is released within the interval, which begins even if nothing is found", () => {
  let now = 1000;
  const subject = original({ releaseInterval: 500, now: () => now });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64).toSorted((x, y) => x - y);
  // Every other chunk: a page of bytes, but no whole page.
  primary.returnTo(
    24,
    chunks.filter((_, i) => i % 2 === 0),
  );
  assert.equal(statsOf(subject, 24).releases, 0);
  now = 1499;
  const odd = chunks.filter((_, i) => i % 2 === 1);
  primary.returnTo(24, odd.slice(0, 16));
  assert.equal(statsOf(subject, 24).releases, 0);
  now = 1500;
  primary.returnTo(24, odd.slice(16));
  assert.equal(statsOf(subject, 24).releases, 1);
});

test("row 120: the original releases [0, 32768) and never the last range", () => {
  const subject = original({ releaseInterval: 0, releaseLast: false });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64).toSorted((x, y) => x - y);
  primary.returnTo(24, [...chunks.slice(0, 32), ...chunks.slice(33)]);
  assert.deepEqual(subject.released, [[24, 0, 32768]]);
  assert.equal(statsOf(subject, 24).releases, 1);
  const all = original({ releaseInterval: 0, releaseLast: false });
  all.a.primary.returnTo(24, all.a.primary.getFrom(24, 64));
  assert.deepEqual(all.released, []);
});

test("row 120: here the last range is released too", () => {
  const subject = original({ releaseInterval: 0 });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64).toSorted((x, y) => x - y);
  for (const p of chunks) subject.space.store32(p, 1);
  const before = subject.space.touched;
  primary.returnTo(24, [...chunks.slice(0, 32), ...chunks.slice(33)]);
  // 33 * 1024 is inside a page, so the second range begins with the next one.
  assert.deepEqual(subject.released, [
    [24, 0, 32768],
    [24, 36864, 65536],
  ]);
  assert.equal(statsOf(subject, 24).releases, 2);
  assert.equal(statsOf(subject, 24).releasedBytes, 32768 + 28672);
  assert.ok(subject.space.touched < before);
  // Sorted: the next allocations have the highest addresses.
  assert.deepEqual(primary.getFrom(24, 2), [chunks[62], chunks[63]]);
  assert.ok(primary.isValid());
});

test("row 121: a chunk that was freed twice is found by the next release, and is free once then", () => {
  const subject = original({ releaseInterval: -1 });
  const { primary } = subject.a;
  const chunks = primary.getFrom(24, 64);
  const twice = chunks[5] as number;
  primary.returnTo(24, chunks.slice(0, 32));
  primary.returnTo(24, [twice]);
  assert.equal(statsOf(subject, 24).freeChunks, 33);
  primary.releaseInterval = 0;
  assert.throws(
    () => primary.returnTo(24, chunks.slice(32)),
    (error: SizeClassError) => {
      assert.ok(error instanceof SizeClassError);
      assert.deepEqual([error.code, error.ptr], ["ERR_DOUBLE_FREE", twice]);
      assert.equal(
        error.message,
        `the chunk of 1024 bytes at 0x${twice.toString(16)} was freed twice`,
      );
      return true;
    },
  );
  assert.equal(statsOf(subject, 24).freeChunks, 64);
  assert.equal(new Set(primary.getFrom(24, 64)).size, 64);
});

test("row 122: a full region is reported before anything is mapped, with its MB and its size", () => {
  const subject = original();
  const { primary } = subject.a;
  const most = ((2 ** 34 / 8) * 7) / 131072;
  const before = subject.maps.length;
  assert.throws(
    () => primary.getFrom(52, most + 1),
    (error: SizeClassError) => {
      assert.equal(error.code, "ERR_CLASS_FULL");
      assert.equal(
        error.message,
        "terrane: Out of memory. Dying. The process has exhausted 16384MB for size class 131072.",
      );
      return true;
    },
  );
  assert.equal(subject.maps.length, before);
  assert.equal(primary.stats().length, 0);
  assert.equal(primary.getFrom(52, 3).length, 3);
});

test("row 122: malloc reports a full region once, and larger classes serve", () => {
  const texts: string[] = [];
  const heap = createSizeClassHeap({
    spaceSize: 2 ** 22,
    granule: 4096,
    onExhausted: (error) => texts.push(error.message),
  });
  const region = 2 ** 17;
  const last = heap.primary.map.id(32);
  const blocks: number[] = [];
  while (texts.length === 0) blocks.push(heap.malloc(32));
  assert.deepEqual(texts, [
    "terrane: Out of memory. Dying. The process has exhausted 0MB for size class 32.",
  ]);
  assert.equal(blocks.length, (region / 8 / 32) * 7 + 1);
  assert.ok(blocks.slice(0, -1).every((p) => heap.primary.classOf(p) === last));
  assert.equal(heap.primary.classOf(blocks.at(-1) as number), last + 1);
  for (let i = 0; i < 100; i++) blocks.push(heap.malloc(32));
  assert.equal(texts.length, 1);
  assert.equal(new Set(blocks).size, blocks.length);
  for (const p of blocks) heap.free(p);
  assert.ok(heap.primary.isValid());
});

test("row 123: the lines of class 30 after 128 chunks", () => {
  const subject = original();
  subject.a.primary.getFrom(30, 128);
  const [head, line, end] = subject.a.primary.printStats().split("\n");
  assert.equal(head, "Stats: SizeClassAllocator64: 0M mapped in 128 allocations; remains 128");
  assert.equal(
    line,
    "  30 (3072): mapped: 384K allocs: 128 frees: 0 inuse: 128 num_freed_chunks 0 avail: 128 " +
      "rss: 0K releases: 0",
  );
  assert.equal(end, "");
});
