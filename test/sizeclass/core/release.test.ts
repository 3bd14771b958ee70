/** Released memory: what the allocator does with a source that can release. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HeapError } from "#src/heap/index.js";
import { type MemorySource, type PageOperations, wasmMemory } from "#src/memory/index.js";
import { createSizeClassHeap } from "#src/sizeclass/index.js";

interface Fake {
  source: MemorySource;
  calls: string[];
  committed: Set<number>;
  /** Pages of 4 KiB that were touched and not released since. */
  resident: Set<number>;
}

/** A source that counts pages: committed at first use, released by a decommit. */
function releasing(needsCommit: boolean): Fake {
  const memory = wasmMemory();
  const calls: string[] = [];
  const committed = new Set<number>();
  const resident = new Set<number>();
  const each = (address: number, bytes: number, visit: (page: number) => void) => {
    for (let page = address / 4096; page < (address + bytes) / 4096; page++) visit(page);
  };
  const pages: PageOperations = {
    pageBytes: 4096,
    needsCommit,
    commit(address, bytes) {
      each(address, bytes, (page) => committed.add(page));
      return true;
    },
    decommit(address, bytes) {
      calls.push(`decommit ${bytes}`);
      new Uint8Array(memory.buffer, address, bytes).fill(0);
      each(address, bytes, (page) => {
        if (needsCommit) committed.delete(page);
        resident.delete(page);
      });
      return true;
    },
    reset: () => true,
    protect: () => false,
    unprotect: () => false,
    resident: (address, bytes) => {
      let count = 0;
      each(address, bytes, (page) => {
        count += Number(resident.has(page));
      });
      return count * 4096;
    },
  };
  const capabilities = { ...memory.capabilities, canRelease: true };
  const source = {
    ...memory,
    capabilities,
    pages,
    get buffer() {
      return memory.buffer;
    },
  };
  return { source, calls, committed, resident };
}

/** Touches every page of a block. */
function touch(fake: Fake, p: number, bytes: number): void {
  for (let page = Math.floor(p / 4096); page * 4096 < p + bytes; page++) {
    if (fake.source.pages?.needsCommit)
      assert.ok(fake.committed.has(page), `page ${page} is committed`);
    fake.resident.add(page);
  }
}

for (const needsCommit of [false, true]) {
  test(`all freed memory is released, ${needsCommit ? "and is committed again" : "at once"}`, () => {
    const fake = releasing(needsCommit);
    let now = 0;
    const heap = createSizeClassHeap({ memory: fake.source, spaceSize: 2 ** 28, now: () => now });
    assert.equal(heap.primary.releaseInterval, 5000);
    const blocks: number[] = [];
    for (let i = 0; i < 60_000; i++) {
      const size = 32 + ((i * 97) % 900);
      const p = heap.malloc(size);
      touch(fake, p, size);
      blocks.push(p);
    }
    const peak = fake.resident.size;
    assert.ok(peak > 6000);
    // The first batch that is returned starts the interval; the rest is released at its end.
    for (const p of blocks) heap.free(p);
    const kept = fake.resident.size;
    assert.ok(kept > peak / 2);
    now = 5000;
    for (let size = 32; size <= 1024; size += 32) {
      const again = Array.from({ length: 300 }, () => heap.malloc(size));
      for (const p of again) heap.free(p);
    }
    heap.drain();
    assert.ok(fake.resident.size < peak * 0.05, `${fake.resident.size} of ${peak} pages`);
    assert.ok(heap.primary.stats().some((one) => one.releasedBytes > 0));
    assert.ok(heap.primary.isValid());
    const p = heap.malloc(100);
    touch(fake, p, 100);
    assert.match(heap.primary.printStats(), / {2}04 \(128\): .* rss: \d+K releases: [1-9]/);
  });
}

test("releaseAll releases everything that is free now; live blocks stay", () => {
  const fake = releasing(false);
  const heap = createSizeClassHeap({ memory: fake.source, releaseInterval: -1 });
  const blocks = Array.from({ length: 1000 }, () => heap.malloc(1024));
  for (const p of blocks) touch(fake, p, 1024);
  const kept = blocks[500] as number;
  heap.u8[kept] = 77;
  for (const p of blocks) if (p !== kept) heap.free(p);
  heap.drain();
  assert.equal(fake.resident.size, 250);
  heap.primary.releaseAll();
  assert.equal(fake.resident.size, 1);
  assert.equal(heap.u8[kept], 77);
});

test("the pages of a large block are released when it is freed", () => {
  const fake = releasing(false);
  const heap = createSizeClassHeap({ memory: fake.source });
  const p = heap.malloc(1_000_000);
  touch(fake, p, 1_000_000);
  heap.free(p);
  assert.equal(fake.resident.size, 0);
  assert.ok(heap.u8.subarray(p, p + 1_000_000).every((byte) => byte === 0));
});

test("a free whose release finds a double free throws, and its own block is freed", () => {
  const heap = createSizeClassHeap({ releaseInterval: 0, now: () => 1 });
  const id = heap.primary.map.id(1024);
  const hint = heap.primary.map.cachedHint(id);
  const chunks = heap.primary.getFrom(id, 4 * hint);
  const twice = chunks[0] as number;
  heap.free(twice);
  for (const p of chunks.slice(1, 2 * hint)) heap.free(p);
  const found: unknown[] = [];
  for (const p of [twice, ...chunks.slice(2 * hint)]) {
    try {
      heap.free(p);
    } catch (error) {
      found.push([(error as HeapError).code, (error as HeapError).ptr]);
    }
  }
  assert.deepEqual(found, [["ERR_DOUBLE_FREE", twice]]);
  heap.drain();
  assert.equal(heap.primary.totalMemoryUsed, 0, "all are free, so that their region has gone");
  assert.ok(heap.primary.isValid());
});
