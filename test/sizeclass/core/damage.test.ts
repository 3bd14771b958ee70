/** Mistakes of callers and failures of hosts at bad moments: what must stay intact. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  R_ALLOCATED,
  R_ALLOCS,
  R_MAPPED_USER,
  REGION_SIZE,
  REGIONS,
} from "#src/sizeclass/core/layout.js";
import {
  attachSizeClassHeap,
  createSizeClassHeap,
  type SizeClassAllocator,
  type SizeClassOptions,
  sparseSpace,
} from "#src/sizeclass/index.js";

const backends = ["wasm", "js"] as const;

/** Caches take one chunk at a time: two fill them. */
const one: SizeClassOptions = {
  map: { bits: 3, minLog: 4, midLog: 8, maxLog: 17, cachedHint: 1, bytesCachedLog: 10 },
  freeArray: 4,
};

function statsOf(a: SizeClassAllocator, id: number) {
  return a.primary.stats().find((each) => each.id === id);
}

for (const backend of backends) {
  test(`${backend}: after a double free was found all counters are right`, () => {
    const { primary } = createSizeClassHeap({ backend });
    const [p, q, ...rest] = primary.getFrom(5, 64) as [number, number, ...number[]];
    primary.returnTo(5, [p, ...rest, p, p]);
    assert.throws(() => primary.releaseAll(), { code: "ERR_DOUBLE_FREE", ptr: p });
    assert.ok(primary.isValid());
    const [stats] = primary.stats();
    assert.equal(stats?.allocations, (stats?.frees as number) + 1);
    primary.returnTo(5, [q]);
    assert.ok(primary.isValid());
    primary.releaseAll();
  });
}

for (const backend of backends) {
  test(`${backend}: callbacks that throw leave no lock held; their errors are thrown later`, (t) => {
    const later: (() => void)[] = [];
    t.mock.method(globalThis, "queueMicrotask", (call: () => void) => later.push(call));
    const fails = () => {
      throw new Error("mine");
    };
    let quiet = true;
    const call = () => (quiet ? undefined : fails());
    const heap = createSizeClassHeap({
      backend,
      onMap: call,
      onUnmap: call,
      releaseInterval: 0,
      now: fails,
    });
    quiet = false;
    const blocks = [heap.malloc(100), heap.malloc(300_000)];
    assert.ok(blocks.every((p) => p !== 0));
    for (const p of blocks) heap.free(p);
    const chunks = heap.primary.getFrom(9, 100);
    for (const p of chunks) heap.free(p);
    heap.drain();
    assert.ok(heap.primary.forceLock(), "all locks were left");
    heap.primary.forceUnlock();
    assert.ok(heap.primary.isValid());
    assert.ok((statsOf(heap, 9)?.releases as number) > 0, "released by another clock");
    assert.ok(later.length >= 5);
    for (const thrown of later) assert.throws(thrown, /^Error: mine$/);
  });
}

for (const backend of backends) {
  test(`${backend}: a chunk that is freed twice under the lock is on the array just twice`, () => {
    const heap = createSizeClassHeap({ backend, ...one, releaseInterval: -1 });
    const [p, q, r] = heap.primary.getFrom(20, 3) as [number, number, number];
    const before = statsOf(heap, 20)?.freeChunks as number;
    assert.ok(heap.primary.forceLock());
    for (const each of [p, p, q, p, r, q, q, r]) heap.free(each);
    heap.primary.forceUnlock();
    heap.primary.getFrom(20, 0); // takes what was left under the lock
    assert.ok((statsOf(heap, 20)?.freeChunks as number) <= before + 7);
    heap.drain();
    assert.throws(() => heap.primary.releaseAll(), { code: "ERR_DOUBLE_FREE" });
  });

  test(`${backend}: a large block that is freed twice under the lock is unmapped once`, () => {
    const heap = createSizeClassHeap({ backend });
    const [p, q] = [heap.malloc(300_000), heap.malloc(300_000)];
    assert.ok(heap.primary.forceLock());
    for (const each of [p, q, p, p, q]) heap.free(each);
    heap.primary.forceUnlock();
    const next = heap.malloc(300_000);
    assert.equal(heap.stats().large.frees, 2);
    assert.ok(heap.primary.isValid());
    heap.free(next);
    assert.throws(() => heap.free(next), { code: "ERR_NOT_A_BLOCK" });
    assert.equal(heap.stats().large.mappedBytes, 0);
  });
}

for (const backend of backends) {
  test(`${backend}: a double free that is found at the end damages no thread slot or cache`, () => {
    const shared = true;
    const heap = createSizeClassHeap({ backend, ...one, shared, threads: 2, releaseInterval: 0 });
    const mine = attachSizeClassHeap(heap.handle());
    const sizes = [4096, 8192, 16384];
    for (const size of sizes) {
      const p = mine.malloc(size);
      mine.free(p);
      if (size === 4096) mine.free(p);
    }
    assert.throws(() => mine.detach(), { code: "ERR_DOUBLE_FREE" });
    mine.detach();
    assert.throws(() => mine.malloc(1), { code: "ERR_HEAP_DESTROYED" });
    for (const stats of heap.primary.stats()) {
      assert.equal(stats.allocations, stats.frees, `class ${stats.id}`);
    }
    attachSizeClassHeap(heap.handle()).detach();
    assert.ok(heap.primary.isValid());
  });
}

test("forceUnlock releases the locks of this thread, and no others", () => {
  const heap = createSizeClassHeap({ shared: true });
  const other = attachSizeClassHeap(heap.handle());
  assert.ok(heap.primary.forceLock());
  other.primary.forceUnlock();
  assert.equal(other.primary.forceLock(), false);
  heap.primary.forceUnlock();
  assert.equal(other.primary.forceLock(), true);
  other.primary.forceUnlock();
});

test("a free never needs memory: the array has space for each chunk from the beginning", () => {
  const space = sparseSpace();
  const a = createSizeClassHeap({ space, granule: 4096 });
  const chunks = Array.from({ length: 60 }, () => a.primary.getFrom(1, 128)).flat();
  space.limit = 0;
  a.primary.returnTo(1, chunks);
  assert.ok(a.primary.isValid());
});

test("a chunk for which the free array has no space is not made", () => {
  const space = sparseSpace();
  const full: string[] = [];
  const a = createSizeClassHeap({ space, onExhausted: (error) => full.push(error.message) });
  const info = a.primary.spaceBegin + a.primary.spaceSize + REGIONS + REGION_SIZE;
  // As if 2^29 chunks of 16 bytes were live: an array of 2 GiB has space for 520 million.
  for (const word of [R_ALLOCATED, R_MAPPED_USER, R_ALLOCS]) space.store32(info + word, 2 ** 29);
  assert.throws(() => a.primary.getFrom(1, 1), {
    code: "ERR_CLASS_FULL",
    message: "terrane: Out of memory. Dying. The process has exhausted 16384MB for size class 16.",
  });
  assert.equal(a.usableSize(a.malloc(16)), 32);
  assert.equal(full.length, 1);
});

test("metadata that no region can hold is refused before anything is mapped", () => {
  const space = sparseSpace();
  const map = space.map.bind(space);
  let maps = 0;
  space.map = (address, bytes) => ++maps === 1 && map(address, bytes);
  const a = createSizeClassHeap({ space, spaceSize: 2 ** 42, metadataSize: 1024 });
  assert.equal(maps, 1);
  // 64 GiB of metadata: as units, 2^32.
  assert.throws(() => a.primary.getFrom(1, 2 ** 26), { code: "ERR_CLASS_FULL" });
  assert.equal(maps, 1);
});

test("an address that is mapped but was never a chunk cannot be returned", () => {
  const space = sparseSpace();
  const a = createSizeClassHeap({ space, metadataSize: 16 });
  space.limit = space.mapped + 2 * 65536; // the array and the chunks, but no metadata
  assert.throws(() => a.primary.getFrom(9, 1), { code: "ERR_CLASS_FULL" });
  assert.throws(() => a.primary.returnTo(9, [a.primary.regionBegin(9)]), {
    code: "ERR_NOT_A_BLOCK",
  });
  space.limit = 2 ** 53;
  assert.equal(a.primary.getFrom(9, 1).length, 1);
  assert.ok(a.primary.isValid());
});
