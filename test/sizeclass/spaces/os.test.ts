/** The original constants over real pages, as the kernel counts them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { osPages, tryOsPages, wasmMemory, withOsPages } from "#src/memory/index.js";
import { createSizeClassHeap, memory64Space, osSpace } from "#src/sizeclass/index.js";

const os = osPages();
const missing = os.available ? false : os.missing;
const MIB = 2 ** 20;

test("without OS pages, the error of osSpace says what is missing", {
  skip: missing === false && "this system has OS pages",
}, () => {
  assert.throws(() => osSpace(), /^RangeError: osSpace needs OS pages: /);
});

test("2^40 bytes of space, reserved: blocks, metadata, iteration", { skip: missing }, () => {
  const space = osSpace();
  const a = createSizeClassHeap({ space, metadataSize: 16, shuffle: true });
  assert.equal(a.primary.regionBytes, 2 ** 34);
  const blocks = Array.from({ length: 5000 }, (_, i) => a.malloc((i * 31) % 9000));
  blocks.push(a.malloc(3 * MIB), a.malloc(200_000));
  for (const p of blocks) {
    assert.ok(p > 0 && a.blockBegin(p + a.usableSize(p) - 1) === p);
    space.store32(p, p % 2 ** 32);
    space.store32(a.metadata(p), p % 2 ** 32);
  }
  for (const p of blocks) {
    assert.equal(space.load32(p), p % 2 ** 32);
    assert.equal(space.load32(a.metadata(p)), p % 2 ** 32);
  }
  const moved = a.realloc(blocks.at(-1) as number, 700_000);
  assert.equal(space.load32(moved), (blocks.at(-1) as number) % 2 ** 32);
  assert.ok(a.primary.isValid());
  a.destroy();
  assert.throws(() => a.malloc(1), /destroyed/);
});

test("a space is destroyed once, also if its addresses are reserved again, and throws afterwards", {
  skip: missing,
}, () => {
  const space = osSpace();
  const a = createSizeClassHeap({ space });
  const { primary } = a;
  const p = a.malloc(100);
  assert.throws(() => space.view(space.begin - 4096, 4096), /nothing is reserved at/);
  assert.throws(() => space.load32(space.begin + space.bytes), /nothing is reserved at/);
  a.destroy();
  const next = osSpace();
  a.destroy();
  space.destroy();
  assert.equal(next.map(next.begin, 4096), true, "still reserved");
  next.store32(next.begin, 7);
  assert.equal(space.map(p, 4096), false);
  assert.equal(space.resident(p, 4096), 0);
  space.release(next.begin, 4096);
  assert.equal(next.load32(next.begin), 7);
  assert.throws(() => space.load32(p), /^RangeError: the address space was destroyed$/);
  assert.throws(() => space.view(p, 4), /the address space was destroyed/);
  assert.throws(() => primary.stats(), { code: "ERR_HEAP_DESTROYED" });
  next.destroy();
});

test("freed memory leaves physical memory at the next release", { skip: missing }, () => {
  const space = osSpace();
  let now = 0;
  const a = createSizeClassHeap({ space, releaseInterval: 1000, now: () => now });
  const resident = () => {
    const { spaceBegin, regionBytes } = a.primary;
    return a.primary
      .stats()
      .reduce(
        (sum, one) => sum + space.resident(spaceBegin + one.id * regionBytes, one.mappedBytes),
        0,
      );
  };
  const blocks: number[] = [];
  for (let i = 0; i < 40_000; i++) {
    const p = a.malloc(1024);
    space.fill(p, 1024, 1);
    blocks.push(p);
  }
  const peak = resident();
  assert.ok(peak > 38 * MIB, `${peak} bytes`);
  for (const p of blocks) a.free(p);
  a.drain();
  now = 1000;
  for (const p of Array.from({ length: 300 }, () => a.malloc(1024))) a.free(p);
  a.drain();
  a.primary.releaseAll();
  assert.ok(resident() < peak * 0.05, `${resident()} of ${peak} bytes`);
  a.destroy();
});

test("linear memory: 64 MiB of small blocks are released to the kernel", { skip: missing }, () => {
  for (const [shared, spaceSize] of [
    [false, 2 ** 28],
    [true, undefined],
  ] as const) {
    const memory = withOsPages(wasmMemory({ shared, maximum: 2 ** 29 }));
    // Some kernels map huge pages around touched ones, which do not belong to the allocator.
    if (os.available) os.hugePages(os.addressOf(memory.buffer), 2 ** 29, false);
    const heap = createSizeClassHeap({ memory, shared, spaceSize, releaseInterval: 0 });
    const begin = heap.primary.spaceBegin;
    const resident = () => memory.pages?.resident?.(begin, heap.u8.length - begin) as number;
    const before = resident();
    const blocks: number[] = [];
    for (let i = 0; i < 64 * 1024; i++) {
      const size = 512 + ((i & 15) << 6);
      const p = heap.malloc(size);
      heap.u8.fill(1, p, p + size);
      blocks.push(p);
    }
    const peak = resident();
    assert.ok(peak - before > 55 * MIB, `${peak - before} bytes`);
    for (const p of blocks) heap.free(p);
    heap.drain();
    heap.primary.releaseAll();
    const after = resident();
    assert.ok(after - before < (peak - before) * 0.05, `${after - before} of ${peak - before}`);
    heap.destroy();
  }
});

test("release: where available, always, or never", () => {
  assert.equal(createSizeClassHeap({ release: false }).primary.releaseInterval, -1);
  assert.equal(createSizeClassHeap().primary.releaseInterval, -1);
  const auto = createSizeClassHeap({ release: tryOsPages });
  assert.equal(auto.primary.releaseInterval, os.available ? 5000 : -1);
  if (os.available)
    assert.equal(createSizeClassHeap({ release: withOsPages }).primary.releaseInterval, 5000);
  else
    assert.throws(
      () => createSizeClassHeap({ release: withOsPages }),
      /withOsPages needs OS pages: /,
    );
  assert.throws(
    () => createSizeClassHeap({ release: 1 as never }),
    /release must be a function that is imported, not number/,
  );
});

/** Node 20 has memory64 only behind a flag, and crashes with it. */
function memory64Missing(): string | false {
  try {
    memory64Space({ maximum: 2 ** 26 });
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

const no64 = memory64Missing();

test("memory64: an engine without it gets a clear error", {
  skip: no64 === false && "this engine has memory64",
}, () => {
  assert.throws(() => memory64Space(), /^RangeError: this engine has no memory64: /);
});

test("memory64: blocks beyond 4 GiB are allocated, grown and freed", { skip: no64 }, () => {
  assert.throws(() => memory64Space({ maximum: 1e6 }), /maximum must be a multiple of 16 MiB/);
  const space = memory64Space();
  const a = createSizeClassHeap({ space, freeArray: 4, metadataSize: 16, releaseInterval: 0 });
  assert.equal(a.primary.regionBytes, 2 ** 27);
  const blocks = Array.from({ length: 3000 }, (_, i) => a.malloc((i * 53) % 140_000));
  assert.ok(blocks.some((p) => p > 2 ** 32));
  for (const p of blocks) {
    space.store32(p, p % 2 ** 32);
    space.store32(p + a.usableSize(p) - 4, p % 2 ** 31);
  }
  for (const p of blocks) {
    assert.equal(space.load32(p), p % 2 ** 32);
    assert.equal(new Uint32Array(space.buffer, p, 1)[0], p % 2 ** 32);
    assert.equal(space.load32(p + a.usableSize(p) - 4), p % 2 ** 31);
    a.free(p);
  }
  a.drain();
  a.primary.releaseAll();
  assert.ok(a.primary.isValid());
  assert.equal(a.malloc(2 ** 31 - 1) === 0, false);
});
