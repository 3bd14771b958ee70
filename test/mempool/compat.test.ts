/** MemPool and the package that it replaces: the same programs must see the same results. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemPool as Rival, NativePool as RivalNative } from "@thi.ng/malloc";
import { MemPool, type MemPoolOpts, NativePool, type Type } from "#src/mempool/index.js";
import { Random, seedOf } from "../support/random.js";

type Options = Partial<Omit<MemPoolOpts, "align">> & { align?: 8 | 16 | 64 };

/** The calls that both have; the types of the other package differ in names only. */
interface Pool {
  readonly buf: ArrayBufferLike;
  malloc(size: unknown): number;
  calloc(size: number, fill?: number): number;
  realloc(ptr: unknown, size: unknown): number;
  free(ptr: unknown): boolean;
  mallocAs(type: Type, num: number): unknown;
  callocAs(type: Type, num: number, fill?: number): unknown;
  reallocArray(array: unknown, num: number): unknown;
  freeAll(): void;
  release(): boolean;
  stats(): unknown;
}

function rival(options: Options): Pool {
  return new Rival(options) as unknown as Pool;
}

function ours(options: Options): Pool {
  return new MemPool(options) as unknown as Pool;
}

/** What a program saw, with the address and the elements of every typed array. */
function seen(value: unknown): unknown {
  if (!ArrayBuffer.isView(value)) return value;
  const numbers = Array.from(value as unknown as ArrayLike<number>);
  return [value.constructor.name, value.byteOffset, ...numbers];
}

function both(options: Options, program: (pool: Pool) => unknown[]): void {
  const answers = [ours, rival].map((make) => program(make(options)).map(seen));
  assert.deepEqual(answers[0], answers[1]);
}

function fails(call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch {
    return true;
  }
}

const small: Options = { size: 256 };

test("the same ranges are accepted and refused", () => {
  const regions: Options[] = [
    {},
    { size: 28 },
    { size: 32 },
    { size: 36 },
    { size: 48 },
    { size: 101 },
    { size: 256, end: 0 },
    { size: 256, end: 101 },
    { size: 256, end: 1000 },
    { size: 256, start: 12, end: 128 },
    { size: 256, start: 128, end: 0 },
    { size: 256, start: 256, end: 512 },
    { size: 256, start: 12, align: 64 },
    { size: 256, align: 4 as 8 },
    { size: 256, minSplit: 8 },
    { size: 256, minSplit: 9 },
  ];
  for (const options of regions) {
    const refused = [ours, rival].map((make) => fails(() => make(options)));
    assert.equal(refused[0], refused[1], JSON.stringify(options));
    if (!refused[0]) both(options, (pool) => [pool.stats(), pool.malloc(8), pool.stats()]);
  }
});

test("the same sizes are served, at the same addresses", () => {
  for (const size of [0, -1, 1, 1.5, null, "16", 24, 208, 209, 216, 217, 256]) {
    both(small, (pool) => [pool.malloc(size), pool.stats(), pool.malloc(8), pool.stats()]);
  }
});

test("malloc and free: blocks are joined, cut, and given back at the top", () => {
  both(small, (pool) => {
    const log: unknown[] = [pool.malloc(256), pool.stats()];
    let [a, b, c] = [pool.malloc(12), pool.malloc(31), pool.malloc(24)];
    log.push(a, b, c, pool.free(a), pool.free(c), pool.free(b), pool.free(b), pool.stats());
    [a, b] = [pool.malloc(32), pool.malloc(12)];
    log.push(a, b, pool.free(a), pool.malloc(8), pool.stats(), pool.free(b), pool.stats());
    [b, c] = [pool.malloc(64), pool.malloc(1)];
    log.push(b, c, pool.free(c), pool.malloc(27), pool.stats());
    pool.freeAll();
    return [...log, pool.stats(), pool.release(), pool.release()];
  });
});

test("typed arrays of every type, filled and not", () => {
  const types: Type[] = ["u8", "u8c", "i8", "u16", "i16", "u32", "i32", "f32", "f64"];
  for (const type of types) {
    both(small, (pool) => {
      const a = pool.callocAs(type, 3, 300);
      const b = pool.callocAs(type, 3);
      const c = pool.mallocAs(type, 500);
      const lower = pool.free(a);
      return [a, b, c, lower, pool.free(a), pool.free(b), pool.mallocAs(type, -1), pool.stats()];
    });
  }
});

test("calloc fills the bytes that were asked for and no others", () => {
  both(small, (pool) => {
    const bytes = new Uint8Array(pool.buf);
    bytes.fill(0xff, 32);
    const a = pool.calloc(6);
    const b = pool.calloc(6, 300);
    return [a, b, bytes.slice(a, a + 9), bytes.slice(b, b + 9)];
  });
});

test("an address that is not a block is neither freed nor resized", () => {
  for (const ptr of [0, -1, 32, 41, 48, Number.NaN, "40", [40], {}, new Uint16Array(1)]) {
    both(small, (pool) => [pool.malloc(8), pool.free(ptr), pool.stats()]);
    if (typeof ptr !== "number") continue;
    both(small, (pool) => [pool.malloc(8), pool.realloc(ptr, 8), pool.stats()]);
  }
  for (const ptr of [null, undefined]) {
    for (const make of [ours, rival]) assert.ok(fails(() => make(small).free(ptr)));
  }
});

test("free takes any typed array over a block", () => {
  both(small, (pool) => {
    const [a, b, c] = [pool.malloc(16), pool.malloc(16), pool.malloc(16)];
    const views = [new Float64Array(pool.buf, a, 1), new DataView(pool.buf, b), new Uint8Array(8)];
    return [...views.map((view) => pool.free(view)), pool.free(c + 8), pool.stats()];
  });
});

test("realloc in place: shrinks with and without a cut, grows at the top", () => {
  for (const size of [0, -1, 1, 8, 16, 24, 32, 40, 48, 1000]) {
    both(small, (pool) => {
      const a = pool.malloc(48);
      pool.malloc(8);
      return [pool.realloc(a, size), pool.stats()];
    });
  }
  both(small, (pool) => {
    const a = pool.malloc(8);
    return [pool.realloc(a, 65), pool.stats(), pool.realloc(a, 31), pool.stats(), pool.malloc(8)];
  });
});

test("reallocArray keeps contents; returns undefined for other arrays and impossible sizes", () => {
  both(small, (pool) => {
    const a = pool.callocAs("f32", 4, 1) as Float32Array;
    const grown = pool.reallocArray(a, 8);
    const foreign = pool.reallocArray(new Float32Array(4), 8);
    const interior = pool.reallocArray(a.subarray(2), 8);
    return [grown, foreign, interior, pool.reallocArray(a, 0), pool.reallocArray(a, 1000)];
  });
});

test("a second instance opens the pool that is in the buffer, with its options", () => {
  for (const make of [
    (options: object) => new MemPool(options),
    (options: object) => new Rival(options),
  ]) {
    const buf = new ArrayBuffer(256);
    const first = make({ buf, align: 16 });
    const a = first.malloc(20);
    const second = make({ buf, skipInitialization: true });
    const b = second.malloc(1);
    assert.deepEqual([a, b], [48, 80]);
    assert.deepEqual(first.stats(), second.stats());
    assert.deepEqual([second.free(a), first.free(a), first.free(b)], [true, false, true]);
    assert.deepEqual(first.stats().used, { count: 0, size: 0 });
  }
});

test("the memory can be a SharedArrayBuffer", () => {
  for (const make of [ours, rival]) {
    const buf = new SharedArrayBuffer(256);
    const view = make({ buf }).mallocAs("f32", 2) as Float32Array;
    assert.equal(view.buffer, buf);
    assert.equal(view.byteOffset, 40);
  }
});

test("NativePool gives typed arrays with buffers of their own", () => {
  for (const pool of [new NativePool(), new RivalNative() as unknown as NativePool]) {
    assert.deepEqual(pool.mallocAs("f32", 0), new Float32Array(0));
    assert.deepEqual(pool.callocAs("f32", 3, 1), Float32Array.of(1, 1, 1));
    const long = Float32Array.of(1, 2, 3, 4);
    assert.deepEqual(pool.reallocArray(long, 2), Float32Array.of(1, 2));
    assert.deepEqual(pool.reallocArray(long, 5), Float32Array.of(1, 2, 3, 4, 0));
    assert.deepEqual([pool.free(long), pool.freeAll(), pool.release()], [true, undefined, true]);
  }
});

/** Size of a block, from the header of MemPool. */
function blockSize(pool: Pool, ptr: number): number {
  return new Uint32Array(pool.buf)[(ptr - 8) / 4] as number;
}

/**
 * Whether the other package is right about a realloc. At the top it is not: without a cut it lowers
 * the top below the end of the block, and it refuses growth to exactly the end of the pool.
 */
function rivalIsSound(mine: Pool, options: Required<Options>, ptr: number, size: number): boolean {
  const have = blockSize(mine, ptr);
  const want = Math.ceil((size + 8) / options.align) * options.align;
  const { top } = mine.stats() as { top: number };
  if (size <= 0 || ptr - 8 + have !== top) return true;
  if (want > have) return ptr - 8 + want !== options.end;
  return want === have || (options.split && have - want >= options.minSplit);
}

function optionsDraw(random: Random): Required<Options> {
  const size = [256, 1024, 4096][random.below(3)] as number;
  return {
    buf: undefined as unknown as ArrayBuffer,
    skipInitialization: false,
    size,
    end: size - 4 * random.below(3),
    start: 4 * random.below(17),
    align: ([8, 8, 16, 64] as const)[random.below(4)] as 8,
    compact: random.chance(60),
    split: random.chance(70),
    minSplit: random.between(9, 40),
  };
}

/** The same random operations on both. A block that the other package leaks is freed for it. */
function stepsCompare(random: Random, options: Required<Options>, steps: number): number {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const [mine, theirs] = [ours(given), rival(given)];
  const live: number[] = [];
  let moves = 0;
  for (let step = 0; step < steps; step++) {
    const kind = random.below(10);
    const index = random.below(live.length || 1);
    const ptr = live[index] ?? 0;
    const size = random.below([20, 100, 300][random.below(3)] as number);
    if (kind < 5 || ptr === 0) {
      const got = mine.malloc(size);
      assert.equal(got, theirs.malloc(size));
      if (got !== 0) live.push(got);
    } else if (kind < 8) {
      live.splice(index, 1);
      assert.deepEqual([mine.free(ptr), theirs.free(ptr)], [true, true]);
    } else if (rivalIsSound(mine, options, ptr, size)) {
      const got = mine.realloc(ptr, size);
      assert.equal(got, theirs.realloc(ptr, size));
      if (got !== 0 && got !== ptr) {
        assert.equal(theirs.free(ptr), true, "the rival has lost its leak");
        live[index] = got;
        moves += 1;
      }
    }
    assert.deepEqual(mine.stats(), theirs.stats());
  }
  return moves;
}

test("random programs get the same addresses and the same statistics after every step", () => {
  const random = new Random(seedOf(4));
  let moves = 0;
  for (let run = 0; run < 150; run++) moves += stepsCompare(random, optionsDraw(random), 200);
  assert.ok(moves > 100, `${moves} blocks moved`);
});
