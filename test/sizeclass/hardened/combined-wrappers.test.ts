/** What Scudo's tests of C's functions check, in the checked API and under C's names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHardenedMalloc, type HardenedStats } from "#src/sizeclass/index.js";
import { backends, hooked, textOf } from "./combined-hooks.js";
import { hardenedSubjects } from "./combined-subjects.js";

const SIZE = 100;
const UINT_MAX = 0xffffffff;

test("Malloc: aligned, usable, hooks called; misaligned and double frees; 0 for too much", () => {
  for (const options of backends) {
    const { heap, abi, since } = hooked({ quarantineSizeKb: 16, ...options });
    const ptr = abi.malloc(SIZE);
    assert.ok(ptr > 0 && ptr % 16 === 0 && abi.malloc_usable_size(ptr) === SIZE);
    assert.equal(since(), `+${ptr}:${SIZE}`);
    assert.equal(
      textOf(() => abi.free(ptr | 1)),
      "misaligned pointer when deallocating",
    );
    // As a wasm module would pass it.
    abi.free(ptr | 0);
    assert.equal(since(), `-${ptr}`);
    assert.equal(
      textOf(() => abi.free(ptr)),
      "invalid chunk state when deallocating",
    );
    assert.equal(since(), "");
    const empty = abi.malloc(0);
    assert.ok(heap.isOwned(empty));
    abi.free(empty);
    abi.free(0);
    since();
    assert.deepEqual([abi.malloc(-1), abi.malloc(UINT_MAX), since()], [0, 0, ""]);
  }
});

test("Calloc: zeros, blocks of size 0, and 0 for what does not fit in size_t", () => {
  for (const options of backends) {
    const { heap, abi, since } = hooked(options);
    const ptr = abi.calloc(1, SIZE);
    assert.equal(since(), `+${ptr}:${SIZE}`);
    assert.ok(heap.u8.subarray(ptr, ptr + SIZE).every((byte) => byte === 0));
    abi.free(ptr);
    for (const [count = 0, size = 0] of [
      [1, 0],
      [0, 1],
    ]) {
      abi.free(abi.calloc(count, size));
    }
    for (const [count = 0, size = 0] of [
      [UINT_MAX, 1],
      [2 ** 31, 2],
      [-1, -1],
    ]) {
      assert.equal(abi.calloc(count, size), 0);
    }
  }
});

test("SmallAlign: powers of two up to 64 KiB, sizes and alignments, three of each", () => {
  for (const options of backends) {
    const { abi } = createHardenedMalloc({ ...options, spaceSize: 2 ** 27 });
    const blocks: number[] = [];
    for (let size = 1; size <= 65536; size *= 2) {
      for (let alignment = 1; alignment <= 65536; alignment *= 2) {
        for (let count = 0; count < 3; count++) {
          const ptr = abi.memalign(alignment, size);
          assert.ok(ptr !== 0 && ptr % alignment === 0);
          blocks.push(ptr);
        }
      }
    }
    assert.equal(new Set(blocks).size, blocks.length);
    for (const ptr of blocks) abi.free(ptr);
  }
});

test("Memalign: up to 256 KiB, posix_memalign as well, and errnos", () => {
  for (const options of backends) {
    const { heap, abi, since } = hooked(options);
    const out = heap.malloc(4);
    for (let log = 2; log <= 18; log++) {
      const alignment = 2 ** log;
      since();
      const ptr = abi.memalign(alignment, SIZE);
      assert.ok(ptr % alignment === 0 && abi.malloc_usable_size(ptr) >= SIZE);
      assert.equal(since(), `+${ptr}:${SIZE}`);
      abi.free(ptr);
      assert.equal(abi.posix_memalign(out, alignment, SIZE), 0);
      const other = heap.u32[out / 4] as number;
      assert.ok(other % alignment === 0);
      abi.free(other);
      assert.equal(since(), `-${ptr} +${other}:${SIZE} -${other}`);
    }
    heap.u32[out / 4] = 7;
    assert.equal(abi.memalign(4096, -1), 0);
    assert.equal(abi.memalign(24, SIZE), 0);
    assert.equal(abi.memalign(2 ** 31, SIZE), 0);
    assert.deepEqual(
      [
        abi.posix_memalign(out, 15, SIZE),
        abi.posix_memalign(out, 2, SIZE),
        abi.posix_memalign(0, 16, SIZE),
        abi.posix_memalign(out, 4096, -1),
      ],
      [28, 28, 28, 48],
    );
    assert.equal(heap.u32[out / 4], 7, "out stays");
  }
});

test("AlignedAlloc: sizes that are multiples, and no others", () => {
  for (const options of backends) {
    const { abi, since } = hooked(options);
    const ptr = abi.aligned_alloc(4096, 16384);
    assert.ok(ptr % 4096 === 0 && abi.malloc_usable_size(ptr) === 16384);
    abi.free(ptr);
    assert.equal(since(), `+${ptr}:16384 -${ptr}`);
    assert.equal(abi.aligned_alloc(4096, SIZE), 0);
  }
});

test("Realloc: null, zero, more, less, dead and too much", () => {
  for (const options of backends) {
    const { heap, abi, since } = hooked(options);
    const first = abi.realloc(0, SIZE);
    assert.equal(since(), `+${first}:${SIZE}`);
    assert.equal(heap.reallocate(first, 0), 0, "Scudo's realloc frees for size 0");
    assert.equal(since(), `-${first}`);
    assert.equal(heap.isOwned(first), false);
    const empty = abi.realloc(abi.malloc(SIZE), 0);
    assert.equal(abi.malloc_usable_size(empty), 0, "realloc returns a block of size 0");
    abi.free(empty);
    const ptr = abi.malloc(SIZE);
    heap.u8.fill(0x42, ptr, ptr + SIZE);
    since();
    const larger = abi.realloc(ptr, SIZE * 2);
    assert.equal(since(), `-${ptr} +${larger}:${SIZE * 2}`);
    assert.ok(heap.u8.subarray(larger, larger + SIZE).every((byte) => byte === 0x42));
    const smaller = abi.realloc(larger, SIZE / 2);
    assert.equal(since(), `-${larger} +${smaller}:${SIZE / 2}`);
    assert.ok(heap.u8.subarray(smaller, smaller + SIZE / 2).every((byte) => byte === 0x42));
    abi.free(smaller);
    assert.equal(
      textOf(() => abi.realloc(smaller, SIZE)),
      "invalid chunk state when reallocating",
    );
    assert.equal(abi.realloc(0, -1), 0);
    const last = abi.malloc(SIZE);
    since();
    assert.deepEqual([abi.realloc(last, -1), since()], [0, ""]);
    assert.equal(abi.malloc_usable_size(last), SIZE);
  }
});

test("Reallocarray: contents stay, and an overflow is refused", () => {
  for (const options of backends) {
    const { heap, abi, since } = hooked(options);
    const ptr = abi.malloc(SIZE);
    heap.u8.fill(0x42, ptr, ptr + SIZE);
    since();
    const to = abi.reallocarray(ptr, 2, SIZE);
    assert.equal(since(), `-${ptr} +${to}:${2 * SIZE}`);
    assert.ok(heap.u8.subarray(to, to + SIZE).every((byte) => byte === 0x42));
    assert.equal(abi.reallocarray(to, UINT_MAX - 1, UINT_MAX - 1), 0);
    assert.equal(heap.reallocarray(to, 3, 66), to, "the class stays");
    assert.equal(heap.usableSize(to), 198);
    assert.equal(heap.reallocarray(to, 2 ** 30, 2 ** 30), 0);
  }
});

test("MallocFreeSized: sized and aligned frees, of each way to allocate", () => {
  for (const options of backends) {
    const { heap, abi, since } = hooked({ quarantineSizeKb: 64, ...options });
    const bytes = 4096 * 4;
    const makers = [
      () => abi.malloc(bytes),
      () => abi.aligned_alloc(4096, bytes),
      () => abi.memalign(4096, bytes),
      () => heap.posixMemalign(4096, bytes),
      () => abi.valloc(bytes),
      () => abi.pvalloc(bytes),
    ];
    for (const make of makers) {
      const ptr = make();
      assert.equal(since(), `+${ptr}:${bytes}`);
      for (const wrong of [bytes - 1, bytes + 1, 0, UINT_MAX]) {
        assert.match(
          textOf(() => abi.free_sized(ptr, wrong)),
          /^invalid sized delete when/,
        );
      }
      abi.free_sized(ptr, bytes);
      assert.equal(since(), `-${ptr}`);
      assert.match(
        textOf(() => abi.free_sized(ptr, bytes)),
        /^invalid chunk state/,
      );
    }
    for (const make of makers.slice(1)) {
      const ptr = make();
      const drop = (alignment: number, size: number) => () =>
        abi.free_aligned_sized(ptr, alignment, size);
      assert.match(textOf(drop(4096, bytes - 1)), /^invalid sized delete when/);
      assert.match(textOf(drop(2 ** 31, bytes)), /^invalid aligned delete when/);
      drop(4096, bytes)();
      assert.match(textOf(drop(4096, bytes)), /^invalid chunk state/);
    }
  }
});

test("OtherAlloc: valloc and pvalloc, whole pages, and 0 for too much", () => {
  for (const options of backends) {
    const { heap, abi } = hooked(options);
    for (const [ptr, size] of [
      [abi.valloc(SIZE), SIZE],
      [abi.pvalloc(SIZE), 4096],
      [abi.pvalloc(0), 4096],
      [heap.valloc(4097), 4097],
      [heap.pvalloc(4097), 8192],
    ] as const) {
      assert.ok(ptr % 4096 === 0 && heap.usableSize(ptr) === size);
      abi.free_sized(ptr, size);
    }
    assert.deepEqual([abi.valloc(-1), abi.pvalloc(-1), heap.pvalloc(2 ** 31 - 1)], [0, 0, 0]);
  }
  const strict = createHardenedMalloc({ mayReturnNull: false });
  assert.match(
    textOf(() => strict.abi.pvalloc(-1)),
    /^pvalloc parameters overflow: size 4294967295 rounded up to system page size 4096 cannot be /,
  );
});

test("MallOpt: purge now, purge all, and another interval", () => {
  const heap = createHardenedMalloc();
  const { primary } = heap.heap;
  assert.equal(primary.releaseInterval, -1);
  for (const interval of [1, 0, 1, 0, -1]) {
    primary.releaseInterval = interval;
    assert.equal(primary.releaseInterval, interval);
  }
  assert.deepEqual([heap.releaseToOS(), heap.releaseToOS(true)], [0, 0]);
});

/** Without the quarantine, which frees pass through. */
function memoryStats({ quarantine: _, ...stats }: HardenedStats) {
  return stats;
}

test("MallInfo: what is allocated, free and mapped", () => {
  for (const { name, create } of hardenedSubjects) {
    const heap = create();
    const before = heap.stats();
    const ptr = heap.malloc(1024);
    const with1 = heap.stats();
    assert.ok(with1.allocatedBytes >= before.allocatedBytes + 1024, name);
    assert.equal(with1.allocatedBlocks, before.allocatedBlocks + 1);
    assert.ok(with1.mappedBytes > with1.allocatedBytes + with1.freeBytes - 65536);
    heap.free(ptr);
    const after = heap.stats();
    assert.ok(after.freeBytes >= with1.freeBytes + 1024);
    assert.equal(after.allocatedBytes, before.allocatedBytes);
    const large = heap.malloc(300_000);
    assert.ok(heap.stats().mappedBytes >= after.mappedBytes + 300_000);
    heap.free(large);
    assert.deepEqual(memoryStats(heap.stats()), memoryStats(after));
  }
});

test("MallocInfo: sizes and counts of live blocks, as XML", () => {
  const heap = createHardenedMalloc();
  const blocks = [1234, 4321, 1234].map((size) => heap.malloc(size));
  assert.equal(
    heap.mallocInfo(),
    '<malloc version="scudo-1">\n<alloc size="1234" count="2"/>\n' +
      '<alloc size="4321" count="1"/>\n</malloc>\n',
  );
  for (const ptr of blocks) heap.free(ptr);
  assert.equal(heap.mallocInfo(), '<malloc version="scudo-1">\n</malloc>\n');
});

test("MallocIterateBoundary: a block at the boundary of two ranges is in one of them", () => {
  const heap = createHardenedMalloc({ shuffle: false });
  const size = 4096 - 16;
  let ptr = heap.malloc(size);
  for (let i = 0; i < 1000 && (ptr - 16) % 4096 !== 0; i++) ptr = heap.malloc(size);
  const begin = ptr - 16;
  assert.equal(begin % 4096, 0);
  let count = 0;
  heap.disable();
  for (const from of [begin - 4096, begin]) {
    heap.forEachBlock((one) => (count += Number(one === ptr)), from, 4096);
  }
  heap.enable();
  assert.equal(count, 1);
});

test("MallocDisableDeadlock: a disabled allocator throws, and works again after enable", () => {
  for (const { create } of hardenedSubjects) {
    const heap = create();
    const ptr = heap.malloc(SIZE);
    assert.equal(heap.disable(), true);
    const calls: (() => unknown)[] = [
      () => heap.malloc(SIZE),
      () => heap.calloc(1, SIZE),
      () => heap.free(ptr),
      () => heap.realloc(ptr, 200),
      () => heap.operatorNew(SIZE),
      () => heap.drain(),
      () => heap.releaseToOS(),
      () => heap.disable(),
    ];
    for (const call of calls) {
      assert.equal(textOf(call), "the allocator is disabled: call enable first");
    }
    assert.ok(heap.isOwned(ptr));
    heap.enable();
    heap.enable();
    heap.free(ptr);
    assert.ok(heap.heap.primary.isValid());
  }
});
