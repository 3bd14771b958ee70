/** What MemPool does better than the package that it replaces, and the errors that it throws. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemPool, type MemPoolOpts, NativePool, type Type } from "#src/mempool/index.js";
import { Random, seedOf } from "../support/random.js";
import { thrownText } from "../support/thrown.js";

test("each wrong option throws an error that names it", () => {
  const texts: [Partial<MemPoolOpts>, string][] = [
    [{ size: 28 }, "RangeError: no space for a pool from 0 to 28"],
    [{ size: 256, start: 256 }, "RangeError: no space for a pool from 256 to 256"],
    [{ size: 256, start: 128, end: 0 }, "RangeError: no space for a pool from 128 to 0"],
    [{ size: 101 }, "RangeError: buf must be a multiple of 4 bytes long, not 101"],
    [{ start: 2 }, "RangeError: start must be a multiple of 4, not 2"],
    [{ start: -4 }, "RangeError: start must be a multiple of 4, not -4"],
    [{ align: 4 }, "RangeError: align must be a power of two from 8 to 1073741824, not 4"],
    [{ align: 0 }, "RangeError: align must be a power of two from 8 to 1073741824, not 0"],
    [{ align: 24 }, "RangeError: align must be a power of two from 8 to 1073741824, not 24"],
    [{ minSplit: 8 }, "RangeError: minSplit must be a whole number of at least 9, not 8"],
    [
      { buf: new Uint8Array(256) as unknown as ArrayBuffer },
      "TypeError: buf must be an ArrayBuffer or a SharedArrayBuffer",
    ],
    [{ skipInitialization: true }, "RangeError: skipInitialization: there is no pool at 0 of buf"],
  ];
  for (const [options, expected] of texts)
    assert.equal(
      thrownText(() => new MemPool(options)),
      expected,
    );
});

test("a buffer whose range is refused is not written", () => {
  const buf = new ArrayBuffer(64);
  assert.throws(() => new MemPool({ buf, end: 16 }));
  assert.ok(new Uint8Array(buf).every((byte) => byte === 0));
});

test("every call after release throws", () => {
  const pool = new MemPool();
  assert.equal(pool.release(), true);
  assert.equal(pool.buf, undefined);
  const calls = [
    () => pool.malloc(1),
    () => pool.free(40),
    () => pool.realloc(40, 1),
    () => pool.freeAll(),
    () => pool.stats(),
    () => pool.callocAs("u8", 1),
  ];
  for (const call of calls) assert.equal(thrownText(call), "TypeError: the pool has been released");
  assert.equal(pool.release(), true);
});

test("sizes that are not a number of bytes change nothing", () => {
  const pool = new MemPool({ size: 256 });
  const before = pool.stats();
  for (const size of [Number.NaN, Number.POSITIVE_INFINITY, undefined, {}, 2 ** 32, 2 ** 40]) {
    assert.equal(pool.malloc(size as number), 0);
    assert.equal(pool.mallocAs("f64", size as number), undefined);
    const ptr = pool.malloc(8);
    assert.equal(pool.realloc(ptr, size as number), 0);
    assert.ok(pool.free(ptr));
  }
  assert.deepEqual(pool.stats(), before);
});

test("unknown types throw an error that names them", () => {
  const message = "TypeError: type must be one of u8 u8c i8 u16 i16 u32 i32 f32 f64 i64 u64, not";
  for (const pool of [new MemPool(), new NativePool()]) {
    assert.equal(
      thrownText(() => pool.mallocAs("toString" as Type, 1)),
      `${message} toString`,
    );
    assert.equal(
      thrownText(() => pool.callocAs("f16" as Type, 1)),
      `${message} f16`,
    );
  }
  assert.equal(
    thrownText(() => new MemPool().free(null as unknown as number)),
    "TypeError: free: null is not an address",
  );
});

test("64-bit integers can be filled", () => {
  const pool = new MemPool();
  assert.deepEqual(pool.callocAs("i64", 2, -3), BigInt64Array.of(-3n, -3n));
  assert.deepEqual(new NativePool().callocAs("u64", 1), BigUint64Array.of(0n));
});

test("realloc frees the old block when a block moves", () => {
  const pool = new MemPool({ size: 256 });
  const a = pool.malloc(8);
  pool.malloc(8);
  new Uint8Array(pool.buf).fill(7, a, a + 8);
  const moved = pool.realloc(a, 32);
  assert.deepEqual([...new Uint8Array(pool.buf, moved, 9)], [7, 7, 7, 7, 7, 7, 7, 7, 0]);
  assert.deepEqual(pool.stats().used, { count: 2, size: 16 + 40 });
  assert.equal(pool.free(a), false);
});

test("a block can grow to the end of the pool", () => {
  const pool = new MemPool({ size: 256 });
  const a = pool.malloc(8);
  assert.equal(pool.realloc(a, 216), a);
  assert.equal(pool.stats().available, 0);
});

test("without split a block at the top keeps its bytes when it shrinks", () => {
  const pool = new MemPool({ size: 256, split: false });
  const a = pool.malloc(80);
  assert.equal(pool.realloc(a, 8), a);
  assert.ok(pool.malloc(8) >= a + 80);
});

test("an instance notices a new pool in its buffer", () => {
  const buf = new ArrayBuffer(256);
  const old = new MemPool({ buf });
  const a = old.malloc(8);
  new MemPool({ buf, align: 16 });
  assert.equal(old.free(a), false);
  assert.equal(old.stats().used.count, 0);
});

test("a damaged header throws an error that names its block", () => {
  const buf = new ArrayBuffer(256);
  const pool = new MemPool({ buf });
  const [a] = [pool.malloc(8), pool.malloc(8)];
  for (const size of [0, 4, 12, 512]) {
    new Uint32Array(buf)[(a - 8) / 4] = size;
    const expected = "RangeError: the block at 32 of the pool is damaged";
    assert.equal(
      thrownText(() => new MemPool({ buf, skipInitialization: true })),
      expected,
    );
  }
});

/** Every live block keeps its bytes while two instances work on the buffer in turns. */
test("two instances in turns: contents stay, blocks never overlap", () => {
  const random = new Random(seedOf(4));
  for (let run = 0; run < 40; run++) {
    const buf = new ArrayBuffer(4096);
    const options = { compact: random.chance(50), split: random.chance(50) };
    const pools = [
      new MemPool({ buf, ...options }),
      new MemPool({ buf, skipInitialization: true }),
    ];
    const bytes = new Uint8Array(buf);
    const live = new Map<number, number>();
    for (let step = 0; step < 300; step++) {
      const pool = pools[random.below(2)] as MemPool;
      const size = random.between(1, 120);
      const ptr = [...live.keys()][random.below(live.size || 1)];
      const kind = random.below(3);
      if (kind === 0 || ptr === undefined) {
        const got = pool.malloc(size);
        if (got !== 0) live.set(got, size);
        bytes.fill(got & 255, got, got + (got !== 0 ? size : 0));
      } else if (kind === 1) {
        assert.ok(pool.free(ptr));
        live.delete(ptr);
      } else {
        const got = pool.realloc(ptr, size);
        if (got === 0) continue;
        const kept = Math.min(size, live.get(ptr) as number);
        live.delete(ptr);
        live.set(got, size);
        assert.ok(bytes.subarray(got, got + kept).every((byte) => byte === (ptr & 255)));
        bytes.fill(got & 255, got, got + size);
      }
      const used = (pools[0] as MemPool).stats().used.count;
      assert.equal(used, live.size);
    }
    for (const [ptr, size] of live) {
      assert.ok(bytes.subarray(ptr, ptr + size).every((byte) => byte === (ptr & 255)));
    }
    assert.deepEqual(pools[0]?.stats(), pools[1]?.stats());
  }
});
