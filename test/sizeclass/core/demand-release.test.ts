/** Releases of regions on demand: which regions go, and what is found then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SizeClassError, SizeClassHeap } from "#src/sizeclass/index.js";
import { make, statsOf } from "./demand.js";

const KIB = 1024;

/** Takes chunks of 1 024 bytes, 64 a region, and returns all but some, by their index. */
function makeHoles(heap: SizeClassHeap, regions: number, kept: readonly number[]): number[] {
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, regions * 64).toSorted((x, y) => x - y);
  heap.primary.returnTo(
    id,
    chunks.filter((_, i) => !kept.includes(i)),
  );
  heap.primary.releaseAll();
  assert.ok(heap.primary.isValid());
  return chunks;
}

test("row 120: ranges of free chunks continue from one region to the next", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = makeHoles(heap, 3, [0, 100, 191]);
  const one = statsOf(heap, id);
  // Three pages have a live chunk.
  assert.equal(one.releasedBytes, 3 * 64 * KIB - 3 * 4096);
  assert.ok(one.releases === 2 || one.releases === 3, `${one.releases} ranges`);
  assert.deepEqual(heap.primary.getFrom(id, 2), chunks.slice(-3, -1), "sorted, from the end");
  assert.ok(heap.primary.isValid());
});

test("a class of which all chunks are free returns its regions and its array", () => {
  const mapped = new Map<number, number>();
  const heap = make({
    onMap: (address, bytes) => {
      for (let at = 0; at < bytes; at += 4096) mapped.set(address + at, 1);
    },
    onUnmap: (address, bytes) => {
      for (let at = 0; at < bytes; at += 4096) assert.ok(mapped.delete(address + at));
    },
  });
  const before = mapped.size;
  const other = heap.malloc(500);
  const with500 = mapped.size;
  const chunks = makeHoles(heap, 40, []);
  const id = heap.primary.map.id(1024);
  assert.equal(mapped.size, with500, "every page");
  assert.deepEqual(heap.primary.regionsOf(id), []);
  const { mappedBytes, arrayBytes, chunks: made, releasedBytes } = statsOf(heap, id);
  assert.deepEqual([mappedBytes, arrayBytes, made, releasedBytes], [0, 0, 0, 40 * 64 * KIB]);
  assert.equal(heap.primary.totalMemoryUsed, 128 * 512);
  heap.forEachBlock((p) => assert.ok(!chunks.includes(p)));
  assert.equal(heap.malloc(1024), heap.primary.regionBegin(id), "and has one again");
  heap.free(other);
  heap.free(heap.primary.regionBegin(id));
  heap.drain();
  heap.primary.releaseAll();
  assert.equal(mapped.size, before);
});

test("regions of which all chunks are free are released, and those around them stay", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = makeHoles(heap, 5, [70, 200]);
  const begins = [1, 3].map((i) => chunks[i * 64] as number);
  assert.deepEqual(heap.primary.regionsOf(id), begins);
  const { chunks: there, freeChunks, allocations, frees } = statsOf(heap, id);
  assert.deepEqual([there, freeChunks, allocations - frees], [128, 126, 2]);
  const again = heap.primary.getFrom(id, 126 + 64);
  assert.equal(new Set([...again, chunks[70], chunks[200]]).size, 192, "each once");
  assert.equal(heap.primary.regionsOf(id).length, 3);
  heap.primary.returnTo(id, [...again, chunks[70] as number]);
  heap.primary.releaseAll();
  assert.deepEqual(heap.primary.regionsOf(id), [begins[1]]);
  assert.ok(heap.primary.isValid());
});

test("an array that is far too large moves when regions are released", () => {
  const heap = make();
  const id = heap.primary.map.id(64);
  const chunks = heap.primary.getFrom(id, 100_000);
  const large = statsOf(heap, id).arrayBytes;
  heap.primary.returnTo(id, chunks.slice(1));
  heap.primary.releaseAll();
  const { arrayBytes, freeChunks } = statsOf(heap, id);
  assert.ok(large > 400_000 && arrayBytes <= 4 * 4096, `${arrayBytes} of ${large} bytes`);
  assert.equal(freeChunks, 1023);
  assert.ok(heap.primary.isValid());
  assert.equal(new Set(heap.primary.getFrom(id, 20_000)).size, 20_000);
  assert.ok(heap.primary.isValid());
});

test("regions stay with metadata, which outlives its chunks, and with releaseLast: false", () => {
  for (const options of [{ metadataSize: 16 }, { releaseLast: false }]) {
    const heap = make(options);
    const id = heap.primary.map.id(1024);
    const chunks = heap.primary.getFrom(id, 120);
    const { length } = heap.primary.regionsOf(id);
    heap.primary.returnTo(id, chunks);
    heap.primary.releaseAll();
    assert.equal(heap.primary.regionsOf(id).length, length);
    assert.ok(heap.primary.isValid());
  }
});

test("pointers into a released region are not blocks, or are inside a large block", () => {
  const heap = make();
  const blocks = Array.from({ length: 500 }, () => heap.malloc(1000));
  for (const p of blocks) heap.free(p);
  heap.drain();
  heap.primary.releaseAll();
  const p = blocks[70] as number;
  assert.throws(() => heap.free(p), { code: "ERR_NOT_A_BLOCK" });
  assert.throws(() => heap.primary.returnTo(heap.primary.map.id(1000), [p]), {
    code: "ERR_NOT_A_BLOCK",
  });
  assert.throws(() => heap.usableSize(p), { code: "ERR_NOT_A_BLOCK" });
  assert.deepEqual([heap.blockBegin(p), heap.primary.classOf(p)], [0, 0]);
  heap.abi.free(p);
  const large = heap.malloc(400_000);
  assert.ok(p > large && p < large + 400_000, "the large block is there");
  assert.throws(() => heap.free(p), { code: "ERR_INTERIOR_POINTER" });
  heap.abi.free(p);
  assert.equal(heap.usableSize(large), 401_408, "C's free does not free the block around it");
  heap.free(large);
  assert.ok(heap.primary.isValid());
});

test("a double free in the free that releases the region is found", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 128).toSorted((x, y) => x - y);
  const again = chunks[64] as number;
  for (const p of chunks.slice(0, 32)) heap.free(p);
  heap.primary.returnTo(id, chunks.slice(64));
  heap.primary.releaseInterval = 0;
  assert.throws(
    () => heap.free(again),
    (error: SizeClassError) => error.code === "ERR_DOUBLE_FREE" && error.ptr === again,
  );
  assert.deepEqual(heap.primary.regionsOf(id), [chunks[0]]);
  for (let i = 0; i < 32; i++) assert.notEqual(heap.malloc(1024), again);
  assert.ok(heap.primary.isValid());
});

test("a chunk that is free and in a cache is found by a release, and its region stays", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const p = heap.malloc(1024);
  heap.drain();
  heap.free(p);
  heap.primary.returnTo(id, [p]);
  assert.throws(
    () => heap.primary.releaseAll(),
    (error: SizeClassError) => error.code === "ERR_DOUBLE_FREE" && error.ptr === p,
  );
  assert.equal(heap.primary.regionsOf(id).length, 1);
  assert.equal(heap.malloc(1024), p, "the cache has it");
  assert.notEqual(heap.malloc(1024), p, "and no other block has it");
  assert.ok(heap.primary.isValid());
});

test("row 120: the last range stays with releaseLast: false", () => {
  const heap = make({ releaseLast: false });
  const id = heap.primary.map.id(1024);
  heap.primary.returnTo(id, heap.primary.getFrom(id, 64));
  heap.primary.releaseAll();
  assert.equal(statsOf(heap, id).releases, 0);
});

test("row 121: a chunk that was freed twice is found by the next release, in any region", () => {
  const heap = make();
  const id = heap.primary.map.id(1024);
  const chunks = heap.primary.getFrom(id, 5 * 64);
  const twice = chunks[200] as number;
  heap.primary.returnTo(id, chunks);
  heap.primary.returnTo(id, [twice]);
  assert.throws(
    () => heap.primary.releaseAll(),
    (error: SizeClassError) => error.code === "ERR_DOUBLE_FREE" && error.ptr === twice,
  );
  assert.deepEqual(heap.primary.regionsOf(id), [], "all were free");
  assert.ok(heap.primary.isValid());
});
