/** Arguments of callers: numbers as wasm passes them, and wrong ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { wasmMemory } from "#src/memory/index.js";
import { R_ALLOCS, R_FREES, REGION_SIZE, REGIONS } from "#src/sizeclass/core/layout.js";
import {
  attachSizeClassHeap,
  createSizeClassHeap,
  type SizeClassHeap,
  sparseSpace,
} from "#src/sizeclass/index.js";

const backends = ["wasm", "js"] as const;

for (const backend of backends) {
  test(`${backend}: C's functions take sizes and pointers above 2 GiB as negative numbers`, () => {
    const memory = wasmMemory({ offset: 2 ** 31 + 65536 });
    const { abi, primary } = createSizeClassHeap({ backend, memory });
    for (const size of [-1, -(2 ** 31)]) {
      assert.equal(abi.malloc(size) >>> 0, 0);
      assert.equal(abi.calloc(1, size) >>> 0, 0);
      assert.equal(abi.calloc(size, 2) >>> 0, 0);
      assert.equal(abi.aligned_alloc(64, size) >>> 0, 0);
    }
    const p = abi.malloc(100) | 0;
    assert.ok(p < 0);
    assert.equal(abi.realloc(p, -1) >>> 0, 0);
    assert.equal(abi.malloc_usable_size(p), 128);
    assert.equal(abi.realloc(p, 120) | 0, p);
    abi.free(p);
    assert.equal(abi.malloc(100) | 0, p, "the cache's newest");
    const large = abi.malloc(300_000) | 0;
    abi.free(abi.realloc(large, 400_000) | 0);
    assert.ok(primary.isValid());
  });
}

for (const backend of backends) {
  test(`${backend}: C's free of null does nothing, also where the space begins at 0`, () => {
    const memory = wasmMemory({ memory: new WebAssembly.Memory({ initial: 1200 }), offset: 0 });
    const { abi, primary } = createSizeClassHeap({ backend, memory });
    abi.free(0);
    abi.free(100); // in region 0, which has no chunks
    const p = abi.malloc(0);
    assert.notEqual(p, 0);
    abi.free(p);
    assert.equal(abi.malloc(0), p);
    assert.ok(primary.isValid());
  });

  test(`${backend}: a wrong number of chunks is refused`, () => {
    const { primary } = createSizeClassHeap({ backend });
    const known = primary.getFrom(1, 3);
    for (const n of [-1, 1.5, Number.NaN, 2 ** 32]) {
      assert.throws(() => primary.getFrom(1, n), {
        name: "RangeError",
        message: `n must be a whole number from 0 to 2147483647, not ${n}`,
      });
    }
    assert.throws(() => primary.getFrom(1, "3" as never), TypeError);
    assert.deepEqual(primary.getFrom(1, 0), []);
    primary.returnTo(1, known);
    assert.ok(primary.isValid());
  });
}

test("a wrong interval is refused, and the old one stays", () => {
  const { primary } = createSizeClassHeap({ releaseInterval: 70 });
  for (const interval of [Number.NaN, Number.POSITIVE_INFINITY, 0.5, 2 ** 32 + 7]) {
    assert.throws(
      () => {
        primary.releaseInterval = interval;
      },
      {
        name: "RangeError",
        message: `releaseInterval must be a whole number from -2147483648 to 2147483648, not ${interval}`,
      },
    );
  }
  assert.equal(primary.releaseInterval, 70);
  primary.releaseInterval = -3;
  assert.equal(primary.releaseInterval, -1);
});

test("a space must begin at a page, so that blocks are aligned", () => {
  for (const spaceBegin of [2 ** 44 + 8, 2 ** 44 + 1, 2 ** 44 + 2048]) {
    assert.throws(() => createSizeClassHeap({ space: sparseSpace(), spaceBegin }), {
      name: "RangeError",
      message: `a space must begin at a multiple of its pages of 4096 bytes, not at ${spaceBegin}`,
    });
  }
  const a = createSizeClassHeap({ space: sparseSpace(), spaceBegin: 2 ** 44 + 4096 });
  assert.equal(a.memalign(4096, 10) % 4096, 0);
});

for (const backend of backends) {
  test(`${backend}: an address outside all blocks has no metadata`, () => {
    const heap = createSizeClassHeap({ backend, metadataSize: 16 });
    const p = heap.malloc(100);
    const begin = heap.primary.regionBegin(heap.primary.classOf(p));
    assert.notEqual(heap.metadata(p + 100), 0);
    assert.equal(heap.primary.metadata(p + 100), heap.metadata(p));
    for (const at of [2 ** 20, 2 ** 21 - 2 ** 18 - 1, 2 ** 21 - 2 ** 18, 2 ** 21 - 1]) {
      assert.equal(heap.blockBegin(begin + at), 0);
      assert.equal(heap.metadata(begin + at), 0);
      assert.equal(heap.primary.metadata(begin + at), 0);
    }
  });
}

test("printed statistics are right beyond 4 GiB, and after 2^32 operations", () => {
  const space = sparseSpace();
  space.resident = () => 2 ** 33 + 2 ** 20;
  const a = createSizeClassHeap({ space });
  const id = a.primary.classOf(a.malloc(100));
  assert.match(a.printStats(), / inuse: 128 .* rss: 8389632K /);
  // The counters are words, and wrap.
  const info = a.primary.spaceBegin + a.primary.spaceSize + REGIONS + id * REGION_SIZE;
  space.store32(info + R_ALLOCS, 28);
  space.store32(info + R_FREES, 2 ** 32 - 100);
  assert.match(a.printStats(), /remains 128\n.* inuse: 128 /);
  assert.ok(a.primary.isValid());
});

test("calls throw after destroy, which happens once", () => {
  let ended = 0;
  const a = createSizeClassHeap({ space: sparseSpace(), onUnmap: () => ended++ });
  const { primary } = a;
  const p = a.malloc(100);
  a.destroy();
  a.destroy();
  assert.equal(ended, 1);
  const gone = { code: "ERR_HEAP_DESTROYED" };
  assert.throws(() => a.free(p), gone);
  assert.throws(() => primary.getFrom(1, 1), gone);
  assert.throws(() => primary.stats(), gone);
  const heap = createSizeClassHeap({ shared: true });
  const mine = attachSizeClassHeap(heap.handle());
  mine.detach();
  assert.throws(() => mine.primary.getFrom(1, 1), gone);
  heap.primary.getFrom(1, 1);
});

for (const backend of backends) {
  test(`${backend}: other code grows the given memory`, () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4096 });
    const heap = createSizeClassHeap({ backend, memory });
    const blocks = [heap.malloc(32)];
    for (const size of [32, 500, 300_000]) {
      memory.grow(1);
      const p = heap.malloc(size);
      assert.notEqual(p, 0);
      heap.u8.fill(1, p, p + size);
      blocks.push(p);
    }
    memory.grow(1);
    assert.equal(new Set(blocks).size, 4);
    for (const p of blocks) heap.free(p);
    assert.ok(heap.primary.isValid());
  });
}

test("two allocators in one memory do not interfere while both grow", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 16384 });
  const heaps = backends.map((backend) => createSizeClassHeap({ backend, memory }));
  const live: [SizeClassHeap, number, number][] = [];
  for (let i = 0; i < 200; i++) {
    const heap = heaps[i % 2] as SizeClassHeap;
    const size = i % 10 < 2 ? 150_000 + i * 100 : i * 50;
    const p = heap.malloc(size);
    assert.notEqual(p, 0);
    heap.u8.fill(i, p, p + size);
    live.push([heap, p, size]);
  }
  for (const [i, [heap, p, size]] of live.entries()) {
    assert.ok(heap.u8.subarray(p, p + size).every((byte) => byte === i));
    heap.free(p);
  }
  assert.ok(heaps.every((heap) => heap.primary.isValid()));
});

test("a source that an allocator used before serves a new one from the beginning", () => {
  const memory = wasmMemory();
  for (const spaceSize of [2 ** 26, 2 ** 25, 2 ** 26]) {
    const heap = createSizeClassHeap({ memory, spaceSize });
    assert.deepEqual(heap.primary.stats(), []);
    assert.equal(heap.stats().large.allocations, 0);
    for (let i = 0; i < 40_000; i++) heap.u32.fill(0xffffffff, heap.malloc(100) / 4, 25);
    heap.malloc(300_000);
    assert.ok(heap.primary.isValid());
    heap.destroy();
  }
});
