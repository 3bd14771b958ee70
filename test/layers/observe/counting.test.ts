/** Layers that count and observe: what each of them does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import {
  check,
  chunk,
  formatTree,
  ground,
  hybrid,
  type LayerError,
  limit,
  log,
  nothing,
  pipe,
  stats,
  statsOf,
  std,
} from "#src/layers/index.js";

function source() {
  const heap = createHeap();
  return { base: std(heap), blocks: () => heap.stats().blocks };
}

function thrown(call: () => void): LayerError {
  try {
    call();
  } catch (error) {
    return error as LayerError;
  }
  return assert.fail("nothing was thrown");
}

test("stats counts blocks, bytes and their peak", () => {
  const pool = pipe(source().base, stats());
  const [a, b] = [pool.get(100), pool.get(50)];
  pool.put(a, 100);
  const expected = { allocations: 2, frees: 1, bytes: 50, peak: 150, held: 0 };
  assert.deepEqual(statsOf(pool), expected);
  pool.destroy();
  assert.deepEqual(statsOf(pool), expected, "the block is still allocated");
  pool.put(b, 50);
  assert.equal(statsOf(pool)?.bytes, 0);
});

test("stats does not count requests that failed", () => {
  const pool = pipe(source().base, nothing(), stats());
  assert.equal(pool.get(10), 0);
  assert.deepEqual(statsOf(pool), { allocations: 0, frees: 0, bytes: 0, peak: 0, held: 0 });
});

test("check refuses a block that was put, an address that is not a block, and another size", () => {
  const pool = pipe(source().base, check());
  const ptr = pool.get(100);
  const at = `0x${ptr.toString(16)}`;
  const size = thrown(() => pool.put(ptr, 50));
  assert.equal(size.message, `put: the block at ${at} was allocated with 100 bytes, not 50`);
  assert.deepEqual([size.name, size.code, size.ptr], ["LayerError", "ERR_SIZE_MISMATCH", ptr]);
  pool.put(ptr, 100);
  const twice = thrown(() => pool.put(ptr, 100));
  assert.equal(twice.message, `put: ${at} was put before`);
  assert.equal(twice.code, "ERR_DOUBLE_FREE");
  const foreign = thrown(() => pool.put(0x1234, 100));
  const message = "put: 0x1234 is not a block of this pool: put it to the pool that gave it";
  assert.equal(foreign.message, message);
  assert.equal(foreign.code, "ERR_NOT_A_BLOCK");
  pool.destroy();
});

test("check names the leaked blocks at destroy, and gives them back before it throws", () => {
  const { base, blocks } = source();
  const pool = pipe(base, check());
  const [a, b] = [pool.get(10), pool.get(20)];
  const leak = thrown(() => pool.destroy());
  const named = `0x${a.toString(16)} (10 bytes), 0x${b.toString(16)} (20 bytes)`;
  assert.equal(leak.message, `destroy: 2 blocks of 30 bytes never put: ${named}`);
  assert.equal(leak.code, "ERR_LEAK");
  assert.deepEqual(leak.leaks, [
    { ptr: a, size: 10 },
    { ptr: b, size: 20 },
  ]);
  assert.equal(blocks(), 0);
  for (let i = 0; i < 9; i++) pool.get(1);
  assert.match(
    thrown(() => pool.destroy()).message,
    /^destroy: 9 blocks of 9 bytes .* bytes\), …$/,
  );
});

test("check calls onLeak instead of throwing", () => {
  const seen: number[] = [];
  const pool = pipe(source().base, check({ onLeak: (leaks) => seen.push(leaks.length) }));
  pool.destroy();
  pool.get(1);
  pool.destroy();
  assert.deepEqual(seen, [1]);
});

test("a leak in one of two pools does not prevent the other from being destroyed", () => {
  const { base, blocks } = source();
  const pool = pipe(hybrid(64, pipe(base, check()), pipe(base, chunk())), stats());
  pool.get(10);
  pool.get(100);
  assert.equal(thrown(() => pool.destroy()).code, "ERR_LEAK");
  assert.equal(blocks(), 0);
  assert.equal(statsOf(pool)?.bytes, 0);
});

test("limit refuses what would exceed it, and serves again after a put", () => {
  const pool = pipe(source().base, limit(100));
  const ptr = pool.get(60);
  assert.equal(pool.get(41), 0);
  assert.notEqual(pool.get(40), 0);
  pool.put(ptr, 60);
  assert.notEqual(pool.get(60), 0);
});

test("limit starts from 0 when the pool below dropped all blocks", () => {
  const pool = pipe(source().base, chunk(), limit(100));
  pool.get(80);
  pool.destroy();
  assert.notEqual(pool.get(80), 0);
});

test("log writes a line for each call", () => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const pool = pipe(source().base, log(write));
  const ptr = pool.get(7);
  pool.put(ptr, 7);
  pool.destroy();
  const at = `0x${ptr.toString(16)}`;
  assert.deepEqual(lines, [`get 7 -> ${at}`, `put ${at} 7`, "destroy"]);
});

test("formatTree shows a composition with its statistics", () => {
  const { base } = source();
  const pool = hybrid(256, pipe(base, ground(), chunk(1024), stats()), base);
  pool.get(100);
  assert.equal(
    formatTree(pool),
    [
      "hybrid(256)",
      "  stats: 1 got, 0 put, 100 bytes in use, peak 100, holds 0",
      "    chunk(1024): 1 got, 0 put, 100 bytes in use, peak 100, holds 924",
      "      ground",
      "        std",
      "  std",
    ].join("\n"),
  );
});
